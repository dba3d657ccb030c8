"""Python's cycle collector, held back while rows are read and loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# The collector runs after this many more allocations than deallocations; Python's default is 700.
OBJECTS = 200_000


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Within it the collector looks for cycles seldom.

    Parsed rows are very many objects without cycles; looking through them takes a third of the time of reading. And a
    single look through all that dlt and DuckDB bring along takes a twentieth of the time of a small load.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)

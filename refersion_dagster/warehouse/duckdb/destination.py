"""A DuckDB file as dlt's destination, set so that a load of any number of rows takes little memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from refersion_dagster.refersion.collector import seldom_collected
from refersion_dagster.refersion.environment import DESTINATION_NAME
from refersion_dagster.refersion.errors import UnusableSetting
from refersion_dagster.warehouse.dlt_internals.duckdb import direct_merge_destination, file_credentials

# How much DuckDB may take during a load. Rows that hold more than 100 KB of text each, by the thousand, need more.
MEMORY_VARIABLE = "REFERSION_DUCKDB_MEMORY"
MEMORY = "150MB"
# dlt sets 1 GB, up to which every row is written to the log first and to the file later.
CHECKPOINTS = "SET GLOBAL checkpoint_threshold = '16MB'"


@contextmanager
def loading_into(path: str, *, stays_open: bool = False) -> Iterator[Any]:
    """A file as dlt's destination for the loads within.

    dlt opens and closes it five times per load, and at each closing DuckDB writes everything back, which takes
    as long as the load itself; so it is kept open. And DuckDB keeps up to 80 % of the machine's memory in use, while a
    load, which only copies rows, is no slower with little memory, few threads (each holds rows of its own) and rows in
    any order. These settings are those of the file while it is open, for whoever uses it.

    Args:
        stays_open: whether this process has it open beyond the loads, so that they have to end with these. Otherwise
            they hold for writing everything back, too.

    Raises duckdb.IOException where another process has it open, and UnusableSetting for an invalid MEMORY_VARIABLE.
    """
    settings = {"threads": 2, "preserve_insertion_order": False}
    with duckdb.connect(path) as connection, seldom_collected():
        limit_memory(connection)
        for name, value in settings.items():
            connection.execute(f"SET GLOBAL {name} = ?", [value])
        try:
            yield direct_merge_destination(file_credentials(path, statements=[CHECKPOINTS]), DESTINATION_NAME)
        finally:
            if stays_open:
                for name in ("memory_limit", *settings):
                    connection.execute(f"RESET GLOBAL {name}")


def limit_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """Sets DuckDB's limits. Raises UnusableSetting if MEMORY_VARIABLE is not a valid size."""
    memory = os.environ.get(MEMORY_VARIABLE) or MEMORY
    try:
        # DuckDB takes -1 for all that there is.
        if not memory.strip()[:1].isdigit():
            raise ValueError
        connection.execute("SET GLOBAL memory_limit = ?", [memory])
    except (ValueError, duckdb.Error):
        raise UnusableSetting(
            f"{MEMORY_VARIABLE} is {memory!r}, which is not a valid size.",
            advice="Use a value such as 1GB. Nothing was loaded.",
        ) from None

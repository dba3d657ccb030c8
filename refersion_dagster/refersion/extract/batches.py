"""Passes batches on to dlt: many rows at a time, with constant memory, recording the progress."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, which type checkers cannot see)

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from refersion_dagster.refersion.extract.entity_reader import RowBatch
from refersion_dagster.refersion.extract.incremental import IncrementalWindow
from refersion_dagster.refersion.extract.stats import ReadSpan, TableReport
from refersion_dagster.refersion.tables.coerce import EPOCH
from refersion_dagster.refersion.windows import Window, whole_second

# Number of rows yielded to dlt together: enough for good Parquet row groups, few enough for constant memory.
YIELD_ROWS = 20_000


def record_progress(
    batches: Iterable[RowBatch], reading: IncrementalWindow, window: Window, report: TableReport, read_at: datetime
) -> Iterator[pa.Table]:
    """Yields the batches' tables, joined into large ones, then records the progress in the report and in the pass.

    Args:
        batches: the batches of the pass, in order; a batch without a window covers all of it.
        window: what is left of the pass.
        read_at: the server's time when the read began.
    """
    held: list[pa.Table] = []
    position = window.start
    newest: datetime | None = None
    for batch in batches:
        held += batch.tables
        newest = max(filter(None, [newest, *map(_newest, batch.tables)]), default=None)
        if sum(table.num_rows for table in held) >= YIELD_ROWS:
            yield pa.concat_tables(held)
            held = []
        if batch.complete:
            position = batch.window.end if batch.window else window.end
    if held:
        yield pa.concat_tables(held)
    report.read_to = position
    report.more = position < window.end
    for part in reading.windows:
        if part.start < position:
            report.spans.append(ReadSpan(part.start, min(part.end, position), read_at))
    reading.read_up_to(position, newest)


def _newest(table: pa.Table) -> datetime | None:
    newest: int | None = pc.max(table.column("created").cast(pa.int64())).as_py()  # a timestamp would import pandas
    return None if newest is None else whole_second(EPOCH + timedelta(microseconds=newest))

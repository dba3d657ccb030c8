"""Running one load of dlt's, whose errors become those of the source or of the database.

The loads of raw tables run through dagster-dlt, whose results come one after the other, so they share `load_errors`;
those of webhook events, of result tables and of the plain pipeline share `run_load`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common.destination import Destination
from dlt.common.pipeline import LoadInfo
from dlt.common.schema.typing import TTableFormat, TTableSchema
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from refersion_dagster.refersion.errors import underlying
from refersion_dagster.warehouse.errors import AppendsOnly, WarehouseError

ClassifyError = Callable[[BaseException], WarehouseError | None]

# Of load files: many times faster than dlt's default, and exact.
FILE_FORMAT = "parquet"


def run_load(pipeline: Pipeline, data: Any, classify_error: ClassifyError) -> LoadInfo:
    """Loads a source or resource. Raises as `load_errors` does."""
    with load_errors(classify_error):
        return pipeline.run(data, loader_file_format=FILE_FORMAT)


def check_merges(destination: Destination[Any, Any], table_format: TTableFormat | None = None) -> None:
    """Raises AppendsOnly for a destination that has no way to merge tables of this format.

    dlt would append to them instead, without an error, and every row that is read again would count twice.
    """
    known = destination.capabilities()
    strategies = known.supported_merge_strategies or ()
    if known.merge_strategies_selector:
        table: TTableSchema = {"write_disposition": "merge"}
        if table_format:
            table["table_format"] = table_format
        strategies = known.merge_strategies_selector(strategies, table_schema=table)
    if not strategies:
        raise AppendsOnly(
            f"dlt cannot merge into the destination {destination.destination_name}, it only appends: rows that are "
            "read again would be there twice. Nothing was loaded. Set REFERSION_DESTINATION to a database that merges. "
            "For tables as Parquet files in a bucket that is ducklake; with every database the published copies, which "
            "are Parquet, can go to a bucket."
        )


@contextmanager
def load_errors(classify_error: ClassifyError) -> Iterator[None]:
    """Takes errors out of those that dlt wraps around them.

    Args:
        classify_error: of the database that is loaded into; see Database.classify_error.

    Raises WarehouseError for what is the database's, RefersionError for what is the source's, and any other error as it
    came.
    """
    try:
        yield
    except (PipelineStepFailed, OSError) as error:
        if trouble := classify_error(error):
            raise trouble from error
        raise underlying(error) or error from None

"""Running a dlt load, and converting its errors to those of the source or of the database.

Raw tables are loaded through dagster-dlt, which yields results one by one, so they use `load_errors`. Webhook events,
result tables and the plain pipeline use `run_load`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common.destination import Destination, TLoaderFileFormat
from dlt.common.pipeline import LoadInfo
from dlt.common.schema.typing import TTableFormat, TTableSchema
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from refersion_dagster.refersion.errors import find_cause
from refersion_dagster.warehouse.errors import AppendsOnly, WarehouseError

ClassifyError = Callable[[BaseException], WarehouseError | None]

# Format of load files where the destination reads it: many times faster than dlt's default, and exact.
FILE_FORMAT: TLoaderFileFormat = "parquet"


def run_load(pipeline: Pipeline, data: Any, classify_error: ClassifyError) -> LoadInfo:
    """Load a source or resource. Raises as `load_errors` does."""
    with load_errors(classify_error):
        return pipeline.run(data, loader_file_format=file_format(pipeline.destination))


def file_format(destination: Destination[Any, Any]) -> TLoaderFileFormat:
    """The format of files for a load into a destination: dlt's choice where that cannot read Parquet."""
    known = destination.capabilities()
    is_read = FILE_FORMAT in known.supported_loader_file_formats
    return FILE_FORMAT if is_read else known.preferred_loader_file_format or FILE_FORMAT


def check_merges(destination: Destination[Any, Any], table_format: TTableFormat | None = None) -> None:
    """Raises AppendsOnly for a destination that cannot merge tables of this format.

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
    """Unwrap errors from the exceptions that dlt raises around them.

    Args:
        classify_error: that of the target database; see Database.classify_error.

    Raises WarehouseError for errors of the database, RefersionError for errors of the source, and any other error
    unchanged.
    """
    try:
        yield
    except (PipelineStepFailed, OSError) as error:
        if problem := classify_error(error):
            raise problem from error
        raise find_cause(error) or error from None

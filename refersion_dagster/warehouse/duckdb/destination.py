"""A DuckDB file as dlt's destination, configured so that a load of any number of rows needs little memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from refersion_dagster.refersion.environment import DESTINATION_NAME
from refersion_dagster.refersion.errors import UnusableSetting
from refersion_dagster.settings import InvalidSetting, WarehouseSettings
from refersion_dagster.warehouse.dlt_internals.duckdb import direct_merge_destination, file_credentials
from refersion_dagster.warehouse.errors import FileTooNew

MEMORY_VARIABLE = WarehouseSettings.variable("duckdb_memory")
# dlt sets 1 GB. Until that size is reached, every row is written to the log first and to the file later.
CHECKPOINTS = "SET GLOBAL checkpoint_threshold = '16MB'"
# DuckDB's message for a file of a newer release.
NEWER = "can only read versions between"


@contextmanager
def open_destination(
    path: str, memory: str = WarehouseSettings.default("duckdb_memory"), *, stays_open: bool = False
) -> Iterator[Any]:
    """A file as dlt's destination for the loads in the context.

    dlt opens and closes the file five times per load, and at each close DuckDB writes everything back, which takes as
    long as the load itself. The file is therefore kept open. DuckDB also uses up to 80 % of the machine's memory, but a
    load only copies rows and is no slower with little memory, few threads (each holds its own rows) and rows in any
    order. These settings apply to all users of the file while it is open.

    Args:
        memory: the memory that DuckDB may use meanwhile.
        stays_open: whether this process keeps the file open after the loads, so that the default settings must be
          restored. Otherwise these settings also apply while everything is written back.

    Raises duckdb.IOException if another process has it open, FileTooNew, and UnusableSetting for an invalid amount of
    memory.
    """
    settings = {
        "threads": 1,
        "preserve_insertion_order": False,
        # Return memory that a load no longer needs to the machine before the next rows are read.
        "allocator_background_threads": True,
    }
    with open_file(path) as connection:
        limit_memory(connection, memory)
        for name, value in settings.items():
            connection.execute(f"SET GLOBAL {name} = ?", [value])
        try:
            yield direct_merge_destination(file_credentials(path, statements=[CHECKPOINTS]), DESTINATION_NAME)
        finally:
            if stays_open:
                for name in ("memory_limit", *settings):
                    connection.execute(f"RESET GLOBAL {name}")
                # In DuckDB 1.5, RESET changes only the value that is shown; the old memory limit stays in force.
                connection.execute("SET GLOBAL memory_limit = current_setting('memory_limit')")


def open_file(path: str) -> duckdb.DuckDBPyConnection:
    """Open the file for writing. Raises duckdb.IOException, and FileTooNew."""
    try:
        return duckdb.connect(path)
    except duckdb.IOException as error:
        if newer := find_newer_version(path, error):
            raise newer from None
        raise


def find_newer_version(path: str, error: BaseException) -> FileTooNew | None:
    """The error for a file that a newer DuckDB wrote; None for any other error."""
    if NEWER not in str(error):
        return None
    return FileTooNew(
        f"{path} was written by a newer DuckDB; this installation has DuckDB {duckdb.__version__}, which cannot read "
        "it. The file is unchanged. Convert it as docs/warehouses.md describes (DuckDB 2), or set another file in "
        "REFERSION_DUCKDB_PATH."
    )


def limit_memory(connection: duckdb.DuckDBPyConnection, memory: str) -> None:
    """Set DuckDB's memory limit. Raises UnusableSetting for an invalid amount, or one too small for any load."""
    try:
        WarehouseSettings.of({MEMORY_VARIABLE: memory})
    except InvalidSetting as error:
        raise UnusableSetting(str(error), advice="Nothing was loaded.") from None
    connection.execute("SET GLOBAL memory_limit = ?", [memory])

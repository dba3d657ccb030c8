"""The DuckDB destination, set so that a load of any number of rows takes little memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from refersion_dagster.refersion.duckdb_merge import DirectMergeDuckDb
from refersion_dagster.refersion.environment import DESTINATION_NAME

# How much DuckDB may take during a load. Rows that hold more than 100 KB of text each, by the thousand, need more.
MEMORY_VARIABLE = "REFERSION_DUCKDB_MEMORY"
MEMORY = "150MB"
# Names of what is set for loads. The last one is off for them and on by itself, so it tells whether the others are set.
KEEPS_ORDER = "preserve_insertion_order"
LOAD_SETTINGS = ("memory_limit", "threads", KEEPS_ORDER)


def duckdb_file(path: str) -> Any:
    """The destination for loading.

    By itself DuckDB keeps up to 80 % of the machine's memory in use. A load only copies rows, which is no slower with
    little memory, few threads (each holds rows of its own) and rows in any order.
    """
    settings = dict(zip(LOAD_SETTINGS, (os.environ.get(MEMORY_VARIABLE) or MEMORY, 2, False), strict=True))
    # dlt sets 1 GB, up to which every row is written to the log first and to the file later.
    pragmas = ["wal_autocheckpoint = '16MB'"]
    credentials = file_credentials(path, global_config=settings, pragmas=pragmas)
    return DirectMergeDuckDb(credentials, destination_name=DESTINATION_NAME)


def file_credentials(path: str, **settings: Any) -> DuckDbCredentials:
    """dlt's credentials for a file.

    The path is set and not handed over, as dlt would import SQLAlchemy to see whether it is a URL, which takes longer
    than a small load.
    """
    credentials = DuckDbCredentials(**settings)
    credentials.database = path
    return credentials


@contextmanager
def kept_open(path: str) -> Iterator[None]:
    """The file open over several loads.

    By itself dlt opens and closes it five times a load, and at each closing DuckDB writes everything back, which takes
    as long as the load itself. Raises duckdb.IOException where another process has it open.
    """
    with duckdb.connect(path):
        yield

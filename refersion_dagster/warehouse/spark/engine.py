"""A Spark cluster as an engine, through Spark Connect."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dlt.destinations.exceptions import DatabaseTerminalException

from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.dialects.spark import SparkDialect, find_tables
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.warehouse.session import Row
from refersion_dagster.warehouse.spark.errors import convert_error

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.session import SparkSession

SCHEMAS = frozenset({DATASET, "refersion_summaries"})
# Settings of a session that results depend on, whatever the cluster's defaults are.
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
}
# Attempts to reach a server that does not answer, for about 20 seconds in all.
ATTEMPTS = 5
HOME = "SPARK_HOME"
# Files of a copy, so that each worker writes some.
PARTS_OF_COPY = 32


class SparkEngine:
    """A session of a Spark Connect server. Raises WarehouseNotSet if the client is not installed.

    Args:
        remote: the server's address, sc://host:port, which may contain a token.
    """

    dialect = SparkDialect()

    def __init__(self, remote: str) -> None:
        if not is_installed("pyspark.sql.connect") or not is_installed("grpc_status"):
            raise WarehouseNotSet(
                "REFERSION_SUMMARIES_ENGINE is spark, which needs pyspark-client. Install with: "
                f"{install_command('spark')}"
            )
        self._remote = remote
        self._session: SparkSession | None = None

    @property
    def location(self) -> str:
        """Host and port, without credentials."""
        return urlsplit(self._remote.partition("/;")[0]).netloc.rpartition("@")[2]

    def tables(self, select: str) -> set[tuple[str, str]]:
        return {table for table, _, _ in find_tables(select, SCHEMAS)}

    def read_files(self, select: str, files: Mapping[tuple[str, str], Path]) -> str:
        for table, begin, end in reversed(find_tables(select, SCHEMAS)):
            select = f"{select[:begin]}parquet.`{files[table].as_uri()}`{select[end:]}"
        return select

    def rows(self, select: str) -> list[Row]:
        with self._convert_errors():
            found = self.connect().sql(select).toArrow()
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def write(self, select: str, folder: Path) -> int:
        with self._convert_errors():
            return _write(self.connect().sql(select), folder)

    def copy(self, file: Path, folder: Path) -> int:
        with self._convert_errors():
            return _write(self.connect().read.parquet(file.as_uri()).repartition(PARTS_OF_COPY), folder)

    def describe(self) -> str:
        with self._convert_errors():
            session = self.connect()
            return f"Spark {session.version} at {self.location}, in ANSI mode and UTC"

    def connect(self) -> SparkSession:
        """The session, which is made at its first use. Raises WarehouseNotSet if it cannot have SETTINGS."""
        if self._session is None:
            with _import_client():
                from pyspark.sql.connect.client.retries import DefaultPolicy
                from pyspark.sql.connect.session import SparkSession

            self._session = session = SparkSession.builder.remote(self._remote).create()
            # By default it waits for ten minutes.
            session.client.set_retry_policies([DefaultPolicy(max_retries=ATTEMPTS)])
            for name, value in SETTINGS.items():
                session.conf.set(name, value)
                if (found := session.conf.get(name)) != value:
                    raise WarehouseNotSet(f"Spark at {self.location} keeps {name} at {found}; {value} is needed.")
        return self._session

    def close(self) -> None:
        if self._session is None:
            return
        session, self._session = self._session, None
        with suppress(Exception):  # it is gone already
            session.interruptAll()
        with suppress(Exception):
            session.stop()

    @contextmanager
    def _convert_errors(self) -> Iterator[None]:
        import grpc
        from pyspark.errors import PySparkException

        try:
            yield
        except (PySparkException, grpc.RpcError) as error:
            if problem := convert_error(error, self.location):
                if self._session is not None:
                    self._session.client.close()
                self._session = None
                raise problem from None
            raise DatabaseTerminalException(error) from error


@contextmanager
def _import_client() -> Iterator[None]:
    """For the import of the client."""
    with warnings.catch_warnings(), ExitStack() as restored:
        # It says that pandas 3 is not supported. No pandas frame is made here.
        warnings.simplefilter("ignore", FutureWarning)
        # In a process without a main file, such as `python -c`, the client looks for Spark and ends the process without
        # it. It does not look if this variable is set.
        if HOME not in os.environ:
            os.environ[HOME] = sys.prefix
            restored.callback(os.environ.pop, HOME, None)
        yield


def _write(rows: DataFrame, folder: Path) -> int:
    """Writes rows to a new folder, and returns how many there were when they were written."""
    from pyspark.sql.connect.functions import count, lit
    from pyspark.sql.connect.observation import Observation

    written: Any = Observation()
    rows.observe(written, count(lit(1)).alias("rows")).write.parquet(folder.as_uri())
    # Spark measures nothing if it knows beforehand that there are no rows.
    return int(written.get.get("rows", 0))

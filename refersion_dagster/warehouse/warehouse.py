"""The warehouse as a Dagster resource."""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import dlt
from dlt.common.destination import Destination
from dlt.common.schema import Schema
from dlt.pipeline.pipeline import Pipeline
from pydantic import Field

from refersion_dagster.refersion.duckdb_file import duckdb_file
from refersion_dagster.refersion.environment import DATASET, DESTINATION_NAME, PIPELINE
from refersion_dagster.warehouse.locks import duckdb_writer, postgres_writer
from refersion_dagster.warehouse.session import Row, Session, UndefinedTable
from refersion_dagster.warehouse.sql import Value

SUMMARIES = "refersion_summaries"

# Formats that are loaded many times faster than the destination's own default.
FILE_FORMATS = {"duckdb": "parquet", "postgres": "csv"}

FULL_DISK = re.compile(r"no space left|disk quota exceeded|file too large", re.IGNORECASE)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, is that of a disk without space."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if FULL_DISK.search(str(reason)):  # DuckDB and Arrow pass the system's words on
            return True
        reason = reason.__cause__ or reason.__context__
    return False


class Warehouse(dg.ConfigurableResource):
    """Where tables land. Everything that reads or writes them goes through here.

    DuckDB is the default; other destinations of dlt take their credentials from dlt's own configuration.
    """

    destination: str = Field(default="duckdb", description="A dlt destination: duckdb or postgres.")
    duckdb_path: str = Field(default="refersion.duckdb", description="The DuckDB file; other destinations ignore it.")
    lock_timeout_seconds: int = Field(
        default=3600, ge=0, description="How long to wait for another run that writes to the same warehouse."
    )

    @property
    def location(self) -> str:
        """Where the tables are, in words."""
        return str(self._path) if self._path else self.destination

    @property
    def file_format(self) -> str | None:
        """Format of load files."""
        return FILE_FORMATS.get(self.destination)

    @property
    def _path(self) -> Path | None:
        return Path(self.duckdb_path).expanduser().resolve() if self.destination == "duckdb" else None

    @contextmanager
    def writing(self, tell: Callable[[str], None]) -> Iterator[None]:
        """The right to write, for one run at a time. Raises WarehouseBusy after lock_timeout_seconds."""
        if self._path:
            with duckdb_writer(self._path, self.lock_timeout_seconds, tell):
                yield
        elif self.destination == "postgres":
            with self.session() as session, postgres_writer(session, self.lock_timeout_seconds, tell):
                yield
        else:
            yield

    @contextmanager
    def pipeline(self, progress: Any = None) -> Iterator[Pipeline]:
        """The dlt pipeline, with a working directory of its own that is gone afterwards.

        State is kept in the warehouse and restored from there, so that nothing depends on the machine.
        """
        with tempfile.TemporaryDirectory(prefix="refersion-dlt-") as directory:
            if self._path:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            yield dlt.pipeline(
                PIPELINE,
                destination=duckdb_file(str(self._path)) if self._path else self.destination,
                dataset_name=DATASET,
                pipelines_dir=directory,
                progress=progress,
            )

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection of its own."""
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # As it comes, not set for loads: queries may take what the machine has.
            destination: Any = dlt.destinations.duckdb(str(self._path), destination_name=DESTINATION_NAME)
        else:
            destination = Destination.from_reference(self.destination)
        configuration = destination.spec()._bind_dataset_name(DATASET)
        with destination.client(Schema(PIPELINE), configuration).sql_client as client:
            yield Session(client)

    def query(self, sql: str, **parameters: Value) -> list[Row]:
        """The rows of one statement, on a connection of its own; see Session.query."""
        with self.session() as session:
            return session.query(sql, **parameters)

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """Rows of raw tables; those that do not exist are left out."""
        counts = {}
        with self.session() as session:
            for table in tables:
                with suppress(UndefinedTable):
                    counts[table] = session.count(DATASET, table)
        return counts

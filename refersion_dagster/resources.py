"""What a run needs from outside: the Refersion account and the warehouse."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import dlt
import duckdb
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.source import DltSource
from dlt.pipeline.pipeline import Pipeline
from filelock import FileLock, Timeout
from pydantic import Field

from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.duckdb_file import duckdb_file
from refersion_dagster.refersion.environment import (
    DATASET,
    DESTINATION_NAME,
    INTEGERS,
    PIPELINE,
    ROWS_PER_LOAD,
)
from refersion_dagster.refersion.graphql import URL as GRAPHQL_URL
from refersion_dagster.refersion.rest import URL as REST_URL
from refersion_dagster.refersion.span import LOOKBACK_DAYS

SUMMARIES = "refersion_summaries"


class RefersionResource(dg.ConfigurableResource):
    """A Refersion account: its keys and addresses, and how to read it.

    Keys are found in Refersion under Account > Settings > Refersion API. REST needs the key pair, GraphQL the token;
    with the pair alone the REST tables load and the others fail with a sentence that says what to set.
    """

    public_key: str | None = Field(default=None, description="REST public key (pub_…).")
    api_key: str | None = Field(default=None, description="REST secret key (sec_…), or the pair public.secret.")
    graphql_token: str | None = Field(default=None, description="GraphQL token.")
    rest_url: str = Field(default=REST_URL, description="Base address of REST v2.")
    graphql_url: str = Field(default=GRAPHQL_URL, description="Address of GraphQL.")
    start_date: str | None = Field(
        default=None,
        description="The first load begins here (YYYY-MM-DD, UTC); without it, at the account's beginning.",
    )
    lookback_days: int = Field(
        default=LOOKBACK_DAYS,
        ge=0,
        description="Days before the last run to read again. Refersion approves pending conversions after 90 days.",
    )
    pii: str = Field(default="hash", description="Customers' e-mail, name and ip: hash, keep or drop.")
    pii_salt: str | None = Field(default=None, description="Key of the hash; without one, a random one per warehouse.")
    # An EnvVar counts as 0 until a run begins, so bounds are checked there, by refersion_source.
    max_concurrency: int = Field(default=8, description="The most requests at once, per API.")
    retry_seconds: int = Field(default=300, ge=0, description="How long one request may be retried.")
    rows_per_load: int = Field(
        default=ROWS_PER_LOAD, description="Commit after whole months that hold about this many rows."
    )

    def source(self, report: ReadReport, **options: Any) -> DltSource:
        """The account as a dlt source. `options` are further arguments of `refersion_source`, and win over this."""
        return refersion_source(
            **{
                "api_key": self.api_key,
                "public_key": self.public_key,
                "graphql_token": self.graphql_token,
                "rest_url": self.rest_url,
                "graphql_url": self.graphql_url,
                "start_date": self.start_date,
                "lookback_days": self.lookback_days,
                "pii": self.pii,
                "pii_salt": self.pii_salt,
                "max_concurrency": self.max_concurrency,
                "retry_seconds": self.retry_seconds,
                "rows_per_load": self.rows_per_load,
                "report": report,
                **{name: value for name, value in options.items() if value is not None},
            }
        )


POLL_SECONDS = 0.5
# DuckDB's words when another process has the file open, e.g. "Conflicting lock is held in /usr/bin/duckdb (PID 4711)".
LOCK_HOLDER = re.compile(r"Conflicting lock is held in (.+?\(PID \d+\))")


FULL_DISK = re.compile(r"no space left|disk quota exceeded|file too large", re.IGNORECASE)


class WarehouseBusy(Exception):
    """Another program went on using the database for longer than this run was to wait."""


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

    destination: str = Field(default="duckdb", description="A dlt destination.")
    duckdb_path: str = Field(default="refersion.duckdb", description="The DuckDB file; other destinations ignore it.")
    lock_timeout_seconds: int = Field(
        default=3600, ge=0, description="How long to wait for another run that writes to the same DuckDB file."
    )

    @property
    def location(self) -> str:
        """Where the tables are, in words."""
        return str(self._path) if self._path else self.destination

    @property
    def file_format(self) -> str | None:
        """Format of load files. DuckDB's own default is many times slower than Parquet."""
        return "parquet" if self.destination == "duckdb" else None

    @property
    def _path(self) -> Path | None:
        return Path(self.duckdb_path).expanduser().resolve() if self.destination == "duckdb" else None

    @contextmanager
    def writing(self, tell: Callable[[str], None]) -> Iterator[None]:
        """The right to write: DuckDB takes one writing process at a time, so runs of any process queue up here.

        Raises WarehouseBusy after lock_timeout_seconds.
        """
        if self._path is None:
            yield
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.lock_timeout_seconds
        lock = FileLock(f"{self._path}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell(f"Another run is writing to {self._path}; waiting for it, {self.lock_timeout_seconds} s at most.")
            try:
                lock.acquire(timeout=self.lock_timeout_seconds)
            except Timeout:
                raise WarehouseBusy(
                    f"Another run still holds {self._path}.lock after {self.lock_timeout_seconds} s. Wait for that run "
                    "to end or stop it, then start this one again; nothing was written."
                ) from None
        try:
            with self._held(self._path, deadline, tell):
                yield
        finally:
            lock.release()

    @contextmanager
    def _held(self, path: Path, deadline: float, tell: Callable[[str], None]) -> Iterator[None]:
        """The file open for writing, so that no reader of another process comes between two steps of a run."""
        told = False
        while True:
            try:
                connection = duckdb.connect(str(path))
                break
            except duckdb.IOException as error:
                holder = LOCK_HOLDER.search(str(error))
                if holder is None:
                    raise
                if time.monotonic() >= deadline:
                    raise WarehouseBusy(
                        f"{path} is still open in another program ({holder[1]}) after {self.lock_timeout_seconds} s, "
                        "and DuckDB lets nobody write meanwhile. Close it there, then start this run again; nothing "
                        "was written."
                    ) from None
                if not told:
                    tell(
                        f"{path} is open in another program ({holder[1]}), and DuckDB lets nobody write meanwhile; "
                        f"waiting for it to be closed, {self.lock_timeout_seconds} s at most."
                    )
                    told = True
                time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            connection.close()

    @contextmanager
    def pipeline(self, progress: Any = None, loading: bool = True) -> Iterator[Pipeline]:
        """The dlt pipeline, with a working directory of its own that is gone afterwards.

        State is kept in the warehouse and restored from there, so that nothing depends on the machine.

        Args:
            progress: dlt's.
            loading: whether DuckDB is to be set for loads, or as it comes, for queries.
        """
        with tempfile.TemporaryDirectory(prefix="refersion-dlt-") as directory:
            if self._path is None:
                destination = self.destination
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                plain = dlt.destinations.duckdb(str(self._path), destination_name=DESTINATION_NAME)
                destination = duckdb_file(str(self._path)) if loading else plain
            yield dlt.pipeline(
                PIPELINE, destination=destination, dataset_name=DATASET, pipelines_dir=directory, progress=progress
            )

    @contextmanager
    def sql(self) -> Iterator[SqlClientBase[Any]]:
        """A SQL connection, in dlt's own client."""
        with self.pipeline(loading=False) as pipeline, pipeline.sql_client() as client:
            yield client

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query; a table that does not exist raises dlt's DatabaseUndefinedRelation."""
        with self.sql() as client:
            return [tuple(row) for row in client.execute_sql(sql, *parameters) or ()]

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """Rows of raw tables; those that do not exist are left out."""
        counts = {}
        with self.sql() as client:
            for table in tables:
                try:
                    rows = client.execute_sql(f"SELECT count(*) FROM {client.make_qualified_table_name(table)}")  # noqa: S608
                except DatabaseUndefinedRelation:
                    continue
                counts[table] = int(rows[0][0]) if rows else 0
        return counts

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """Names and types of a table's columns, in order."""
        found = self.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            schema,
            table,
        )
        return [(str(name), str(kind).lower()) for name, kind in found]

    def replace_table(self, schema: str, table: str, select: str) -> int:
        """Builds a table from a SELECT beside the one there is, then swaps them in one transaction.

        A SELECT that fails leaves the table as it was. Returns the number of rows.
        """
        fresh = f"{table}__new"
        with self.sql() as client:
            client.execute_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            client.execute_sql(f"DROP TABLE IF EXISTS {schema}.{fresh}")
            client.execute_sql(f"CREATE TABLE {schema}.{fresh} AS\n{select}")
            rows = client.execute_sql(f"SELECT count(*) FROM {schema}.{fresh}")  # noqa: S608
            with client.begin_transaction():
                client.execute_sql(f"DROP TABLE IF EXISTS {schema}.{table}")
                client.execute_sql(f"ALTER TABLE {schema}.{fresh} RENAME TO {table}")
        return int(rows[0][0]) if rows else 0


WAREHOUSE_VARIABLES = {
    "destination": "REFERSION_DESTINATION",
    "duckdb_path": "REFERSION_DUCKDB_PATH",
    "lock_timeout_seconds": "REFERSION_LOCK_TIMEOUT_SECONDS",
}


def from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """Resource fields as EnvVars, for the variables that are set.

    Dagster reads them when a run begins, so secrets are in no definition; a variable that is not set leaves the field
    to its default instead of keeping the code location from loading.
    """
    return {
        field: dg.EnvVar.int(name) if field in (*INTEGERS, "lock_timeout_seconds") else dg.EnvVar(name)
        for field, name in variables.items()
        if os.environ.get(name)
    }

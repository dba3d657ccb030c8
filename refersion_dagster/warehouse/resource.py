"""The warehouse as a Dagster resource."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

import dagster as dg
import dlt
from dlt.extract.source import DltSource
from dlt.pipeline.pipeline import Pipeline
from pydantic import Field, PrivateAttr

from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.settings import WarehouseSettings
from refersion_dagster.settings.part import like
from refersion_dagster.warehouse.database import SUMMARIES, Database, Schemas
from refersion_dagster.warehouse.engine import ComputeSession, Engine, Exchange
from refersion_dagster.warehouse.errors import KeysNotEnforced, WarehouseBusy, WarehouseError
from refersion_dagster.warehouse.load import check_merges
from refersion_dagster.warehouse.registry import open_database, open_engine
from refersion_dagster.warehouse.renamed_session import RenamedSession
from refersion_dagster.warehouse.session import Row, Session, UndefinedTable
from refersion_dagster.warehouse.sql import Value

# Every step that takes the right to write uses this pool. If its limit is 1, runs wait in Dagster's queue instead of in
# `write_lock`.
POOL = "refersion_warehouse"


class Warehouse(dg.ConfigurableResource):
    """Where tables land. Everything that reads or writes them goes through here.

    DuckDB is the default; servers take their credentials from dlt's own configuration. The first use raises
    WarehouseNotSet where the settings make no sense.
    """

    destination: str = like(WarehouseSettings, "destination")
    duckdb_path: str = like(WarehouseSettings, "duckdb_path")
    duckdb_memory: str = like(WarehouseSettings, "duckdb_memory")
    journal: str | None = like(WarehouseSettings, "journal")
    lock_timeout_seconds: int = like(WarehouseSettings, "lock_timeout_seconds", ge=0)
    summaries_engine: str = like(WarehouseSettings, "summaries_engine")
    spark_remote: str | None = like(WarehouseSettings, "spark_remote")
    spark_folder: str | None = like(WarehouseSettings, "spark_folder")

    # What the current run holds until it ends; None outside of runs.
    _run: ExitStack | None = PrivateAttr(default=None)
    _is_held: bool = PrivateAttr(default=False)
    _busy: WarehouseBusy | None = PrivateAttr(default=None)
    _engine: tuple[Engine, Exchange] | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, warehouse: WarehouseSettings, **fixed: Any) -> Warehouse:
        """The warehouse that the settings name.

        Args:
            fixed: values of fields that are not settings.
        """
        values = warehouse.list_set_values()
        return cls(**{name: value for name, value in values.items() if name in cls.model_fields}, **fixed)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Warehouse]:
        """The warehouse for the duration of a Dagster run.

        The first step that needs the right to write takes it and keeps it until the run ends. No other run can change
        tables between two steps, so checks and summaries see the same rows, and DuckDB keeps in memory what one step
        read for the next.
        """
        with ExitStack() as run:
            self._run, self._is_held, self._busy, self._engine = run, False, None, None
            try:
                yield self
            finally:
                self._run = self._engine = None

    @property
    def schemas(self) -> Mapping[str, str]:
        """The names of schemas in the database by their usual names, if they differ."""
        return {}

    @property
    def database(self) -> Database:
        return open_database(self.destination, self.duckdb_path, self.duckdb_memory)

    @property
    def location(self) -> str:
        """The location of the tables as text, without credentials."""
        return self.database.location

    def check_keys_enforced(self) -> None:
        """Raises KeysNotEnforced if no database enforces the journal's keys, so that an item could be sent twice."""
        if not self.journal and not self.database.enforces_keys:
            raise KeysNotEnforced(
                f"Nothing was sent: {self.location} does not enforce primary keys, so two runs at once could send the "
                "same item. Choose a database for the journal of what is sent. For a file of this machine, set "
                "REFERSION_JOURNAL=sqlite:////folder/journal.sqlite; for a PostgreSQL database, set it to "
                "postgresql://user:password@host:5432/database."
            )

    @contextmanager
    def write_lock(self, tell: Callable[[str], None]) -> Iterator[None]:
        """The right to write, for one run at a time.

        Raises WarehouseBusy after lock_timeout_seconds. After such a timeout the run has given up, and its further
        steps do not wait again.
        """
        if self._run is None:
            with self.database.write_lock(self.lock_timeout_seconds, tell):
                yield
            return
        if self._busy is not None:
            raise self._busy
        if not self._is_held:
            try:
                self._run.enter_context(self.database.write_lock(self.lock_timeout_seconds, tell))
            except WarehouseBusy as error:
                self._busy = error
                raise
            self._is_held = True
        yield

    @contextmanager
    def pipeline(self, progress: Any = None) -> Iterator[Pipeline]:
        """The dlt pipeline, with its own working directory that is removed afterwards.

        Its state is kept in the warehouse and restored from there, so that nothing depends on the machine.
        """
        with (
            tempfile.TemporaryDirectory(prefix="refersion-dlt-") as directory,
            self.database.open_destination() as destination,
        ):
            check_merges(destination)
            self._forget_files()
            yield dlt.pipeline(
                PIPELINE,
                destination=destination,
                dataset_name=self.schemas.get(DATASET, DATASET),
                pipelines_dir=directory,
                progress=progress,
            )

    def prepare(self, source: DltSource) -> DltSource:
        """The source with the load strategy that is safe and fast in this database."""
        return self.database.prepare(source)

    def classify_error(self, error: BaseException) -> WarehouseError | None:
        """The warehouse error behind an error of a load, such as a full disk; None if the database did not cause it."""
        return self.database.classify_error(error)

    @contextmanager
    def session(self, read_only: bool = False) -> Iterator[Session]:
        """A separate connection; see Database.session."""
        with self.database.session(read_only) as session:
            try:
                yield RenamedSession(session, self.schemas) if self.schemas else session
            finally:
                if not read_only:
                    self._forget_files()

    @contextmanager
    def compute_session(self) -> Iterator[Session]:
        """A separate connection that builds summaries and runs checks, in the engine that the settings name.

        Within a run, files that one step wrote for the engine serve the next, until another session may have written.
        Raises WarehouseError if the engine cannot be used.
        """
        if not self.has_engine:
            with self.session() as session:
                yield session
            return
        with ExitStack() as here:
            used = self._engine
            if used is None:
                used = (self._run or here).enter_context(self.engine())
                self._engine = used if self._run else None
            with self.database.session() as session:
                yield ComputeSession(session, self.schemas, *used)

    @property
    def has_engine(self) -> bool:
        """Whether summaries and checks are computed in an engine."""
        return self.summaries_engine != WarehouseSettings.default("summaries_engine")

    def engine(self) -> AbstractContextManager[tuple[Engine, Exchange]]:
        """The engine, with a folder that it shares with the warehouse. Raises WarehouseNotSet."""
        return open_engine(self.summaries_engine, self.destination, self.spark_remote, self.spark_folder)

    def _forget_files(self) -> None:
        if self._engine:
            self._engine[1].forget()

    def query(self, sql: str, **parameters: Value) -> list[Row]:
        """The rows of one statement, on a separate connection; see Session.query."""
        with self.session() as session:
            return session.query(sql, **parameters)

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """Row counts of raw tables. Tables that do not exist are left out."""
        counts = {}
        with self.session() as session:
            for table in tables:
                with suppress(UndefinedTable):
                    counts[table] = session.count(DATASET, table)
        return counts


class RenamedWarehouse(Warehouse):
    """A warehouse whose schemas have other names, so that several accounts fit in one database.

    It has been run with DuckDB and with PostgreSQL, and refuses others.
    """

    data_schema: str = Field(description="Schema of the raw tables.")
    summaries_schema: str = Field(description="Schema of the summaries.")

    @property
    def schemas(self) -> Mapping[str, str]:
        return {DATASET: self.data_schema, SUMMARIES: self.summaries_schema}

    @property
    def database(self) -> Database:
        schemas = Schemas(self.data_schema, self.summaries_schema)
        return open_database(self.destination, self.duckdb_path, self.duckdb_memory, schemas)

"""Engines: where SELECTs over whole tables are computed, if not in the warehouse itself.

The warehouse stays the only place of tables. What a SELECT reads is written to a folder as Parquet, which the engine
reads too; its result comes back through the same folder and is loaded into the warehouse, where it is checked and
swapped in like any other. So an engine that breaks in the middle leaves every table as it was.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import Dialect
from refersion_dagster.warehouse.errors import ResultIncomplete, WarehouseNotSet
from refersion_dagster.warehouse.renamed_session import RenamedSession
from refersion_dagster.warehouse.session import Row, Session
from refersion_dagster.warehouse.sql import Value, bind, parse

# Rows with which the doctor tries the folder.
TRIAL_ROWS = 10_000


class Engine(Protocol):
    """Computes SELECTs. Raises WarehouseError if it cannot be used, and dlt's DatabaseException for a wrong SELECT."""

    @property
    def dialect(self) -> Dialect:
        """The dialect of its SELECTs."""
        ...

    def read_files(self, select: str, files: Mapping[tuple[str, str], Path]) -> str:
        """A SELECT in its dialect, with a Parquet file in the place of each table."""
        ...

    def tables(self, select: str) -> set[tuple[str, str]]:
        """Schemas and names of the tables that a SELECT in its dialect reads."""
        ...

    def rows(self, select: str) -> list[Row]:
        """The rows of a SELECT in its dialect."""
        ...

    def write(self, select: str, folder: Path) -> int:
        """Writes the rows of a SELECT in its dialect to a new folder as Parquet: in their order, by file name.

        Returns their number.
        """
        ...

    def copy(self, file: Path, folder: Path) -> int:
        """Copies the rows of a Parquet file to a new folder, by all its machines, and returns their number."""
        ...

    def describe(self) -> str:
        """The engine's version, address without credentials, and the settings that results depend on."""
        ...

    def close(self) -> None:
        """Ends the connection, and what still runs."""
        ...


class Exchange:
    """A run's own folder in the one that the warehouse's machine and the engine share.

    A lock file beside it is held while the run lives. Folders of runs that died are removed by the next one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folder = root / f"run-{uuid4().hex}"
        self._lock = FileLock(_lock_of(self.folder))
        self._numbers = count(1)
        self._files: dict[tuple[str, str], Path] = {}

    def open(self) -> None:
        """Creates the folder. Raises WarehouseNotSet if it cannot be written to."""
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            for left in self._root.glob("run-*.lock"):
                _remove_left(left)
            self._lock.acquire(timeout=0)
            self.folder.mkdir()
        except OSError as error:
            raise WarehouseNotSet(
                f"The folder that is shared with the engine cannot be written to: {error.filename or self._root}: "
                f"{error.strerror}. Correct REFERSION_SPARK_FOLDER, or give the user that runs Dagster the right to."
            ) from None

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def file_of(self, session: Session, schema: str, table: str) -> Path:
        """The rows of a table as a Parquet file, as they are now. Raises UndefinedTable."""
        if (schema, table) not in self._files:
            # A name of its own for each state of a table: the engine may remember what a file was.
            file = self.folder / f"{schema}.{table}.{next(self._numbers)}.parquet"
            session.native(f"COPY (SELECT * FROM {session.table(schema, table)}) TO {_text(file)} (FORMAT parquet)")  # noqa: S608
            self._files[schema, table] = file
        return self._files[schema, table]

    def forget(self, schema: str | None = None, table: str | None = None) -> None:
        """Removes the file of a table whose rows may have changed; of all tables by default."""
        for one in [(schema, table)] if schema and table else [*self._files]:
            if file := self._files.pop(one, None):
                file.unlink(missing_ok=True)

    @contextmanager
    def result(self) -> Iterator[Path]:
        """A new folder for a result, which is removed afterwards."""
        folder = self.folder / f"result-{next(self._numbers)}"
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def compare_counts(written: int, found: int) -> None:
    """Raises ResultIncomplete if rows that the engine wrote are not there.

    A machine of the cluster that has another folder under the same path writes there, without an error.
    """
    if written != found:
        raise ResultIncomplete(
            f"The engine wrote {written} rows, of which {found} are in the shared folder. Nothing was changed. Check "
            "that REFERSION_SPARK_FOLDER is the same folder on all machines; refersion-dagster doctor tries it."
        )


def try_exchange(engine: Engine, exchange: Exchange) -> None:
    """Copies rows to the engine and back. Raises WarehouseError, and dlt's DatabaseException if it cannot read them."""
    file = exchange.folder / "trial.parquet"
    pq.write_table(pa.table({"number": list(range(TRIAL_ROWS))}), file)
    with exchange.result() as folder:
        written = engine.copy(file, folder)
        compare_counts(TRIAL_ROWS, written)
        compare_counts(written, sum(pq.read_metadata(part).num_rows for part in folder.glob("*.parquet")))


def _lock_of(folder: Path) -> str:
    return f"{folder}.lock"


def _remove_left(file: Path) -> None:
    """Removes the folder of a run that died."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:  # that run is alive
        return
    shutil.rmtree(file.with_suffix(""), ignore_errors=True)
    lock.release()
    file.unlink(missing_ok=True)


def _text(path: Path | str) -> str:
    return "'" + str(path).replace("'", "''") + "'"


class ComputeSession(RenamedSession):
    """A session of the warehouse whose SELECTs over whole tables are computed by an engine."""

    def __init__(self, session: Session, schemas: Mapping[str, str], engine: Engine, exchange: Exchange) -> None:
        super().__init__(session, schemas)
        self.dialect = engine.dialect
        self._engine = engine
        self._exchange = exchange

    def translated(self, tree: exp.Expr) -> str:
        """A SELECT in the engine's dialect, for `build_beside`."""
        return self.dialect.write(tree)

    def compute(self, sql: str | exp.Expr, **parameters: Value) -> list[Row]:
        tree = bind(parse(sql) if isinstance(sql, str) else sql, parameters)
        return self._engine.rows(self._with_files(self.translated(tree)))

    def build_beside(self, schema: str, table: str, select: str) -> str:
        located = self._with_files(select)
        with self._exchange.result() as folder:
            written = self._engine.write(located, folder)
            files = f"read_parquet({_text(folder / '*.parquet')})"
            # Whole numbers are BIGINT in DuckDB; Spark numbers rows in INTEGER.
            short = [name for name, kind, *_ in self.native(f"DESCRIBE FROM {files}") if kind == "INTEGER"]
            whole = ", ".join(f'CAST("{name}" AS BIGINT) AS "{name}"' for name in short)
            replaced = f" REPLACE ({whole})" if whole else ""
            fresh = super().build_beside(schema, table, f"SELECT *{replaced} FROM {files}")  # noqa: S608
        compare_counts(written, self.count(schema, fresh))
        return fresh

    def swap_in(self, schema: str, table: str, fresh: str) -> None:
        super().swap_in(schema, table, fresh)
        self._exchange.forget(schema, table)

    def _with_files(self, select: str) -> str:
        files = {one: self._exchange.file_of(self, *one) for one in sorted(self._engine.tables(select))}
        return self._engine.read_files(select, files)

"""The source as a plain dlt user runs it: on a sandbox, read without a pipeline or loaded into a DuckDB file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
from dlt.extract.exceptions import ResourceExtractionError
from dlt.extract.source import DltSource
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.errors import find_cause
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.warehouse.duckdb.destination import open_destination
from refersion_dagster_tests.location import NOW, SMALL

__all__ = ["NOW", "SMALL", "DltsWarehouse", "Row", "Warehouse", "arguments", "read", "rows", "source"]

Row = dict[str, Any]


def arguments(sandbox: SandboxServer, **changes: Any) -> dict[str, Any]:
    """Arguments of refersion_source to read a sandbox. A change to None removes an argument."""
    given = {
        "api_key": sandbox.secret_key,
        "public_key": sandbox.public_key,
        "graphql_token": sandbox.graphql_token,
        "rest_url": sandbox.rest_url,
        "graphql_url": sandbox.graphql_url,
        "start_date": f"{sandbox.start:%Y-%m-%d}",
        "pii_salt": "salt",
        "retry_seconds": 20,
        **changes,
    }
    return {name: value for name, value in given.items() if value is not None}


def source(sandbox: SandboxServer, *tables: str, **changes: Any) -> DltSource:
    """The source on a sandbox, with the named tables or all."""
    return refersion_source(**arguments(sandbox, **changes)).with_resources(*(tables or ENTITIES))


def read(sandbox: SandboxServer, table: str, **changes: Any) -> pa.Table:
    """A table as the source yields it to dlt. Raises the source's own errors."""
    try:
        return pa.concat_tables(source(sandbox, table, **changes))
    except ResourceExtractionError as error:
        raise find_cause(error) or error from None


def rows(table: pa.Table, *, key: Sequence[str] = ("id",)) -> list[Row]:
    """The rows ordered by their key, without the time at which they were read."""
    found = [{name: value for name, value in row.items() if name != "read_at"} for row in table.to_pylist()]
    return sorted(found, key=lambda row: tuple(map(str, (row[name] for name in key))))


class Warehouse:
    """A DuckDB file, and a pipeline into it. Its working folder may be that of another machine.

    Loads use this package's destination, which takes half as long as dlt's own; see DltsWarehouse.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "warehouse.duckdb"

    def pipeline(self, machine: str = "this", destination: Any = None) -> Pipeline:
        return dlt.pipeline(
            "refersion_pipeline",
            destination=destination or dlt.destinations.duckdb(str(self.path)),
            dataset_name="refersion_data",
            pipelines_dir=str(self.folder / machine),
        )

    @contextmanager
    def open_destination(self, machine: str) -> Iterator[Pipeline]:
        """The pipeline for a load."""
        with open_destination(str(self.path), stays_open=True) as destination:
            yield self.pipeline(machine, destination)

    def load(self, sandbox: SandboxServer, *tables: str, machine: str = "this", **changes: Any) -> ReadReport:
        """Loads the named tables (or all) in one commit. Raises the source's own errors."""
        report = changes.pop("report", None) or ReadReport()
        with self.open_destination(machine) as pipeline:
            try:
                pipeline.run(source(sandbox, *tables, report=report, **changes), loader_file_format="parquet")
            except PipelineStepFailed as error:
                raise find_cause(error) or error from None
            finally:
                pipeline.deactivate()  # a source that is read without a pipeline would use the state of an active one
        return report

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def rows(self, table: str, *columns: str, order: str = "id") -> list[tuple[Any, ...]]:
        return self.query(f'SELECT {", ".join(columns) or "*"} FROM refersion_data."{table}" ORDER BY {order}')

    def count(self, table: str) -> int:
        return self.query(f'SELECT count(*) FROM refersion_data."{table}"')[0][0]

    def counts(self) -> dict[str, int]:
        """Number of rows of every existing table."""
        found = self.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'refersion_data'")
        return {name: self.count(name) for (name,) in found if not name.startswith("_dlt")}


class DltsWarehouse(Warehouse):
    """Loads use dlt's own destination, as those of users who use the source alone."""

    @contextmanager
    def open_destination(self, machine: str) -> Iterator[Pipeline]:
        yield self.pipeline(machine)

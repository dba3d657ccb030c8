"""The dlt source with Delta tables in a bucket: merged, killed, read; and why they are no warehouse of this package."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.interruptions.interrupted_load import ACCOUNT, at_the_source
from refersion_dagster_tests.location import REPOSITORY, Location
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.warehouse.lake_storage import BUCKET, HOST, KEY, SECRET, S3Server, extensions, installed

pytestmark = pytest.mark.warehouses

DELTALAKE = ("deltalake==1.6.6", "arro3-core==0.9.1", "deprecated==1.3.1", "wrapt==2.5.2")
PREFIX = "DESTINATION__FILESYSTEM__CREDENTIALS__"
# From docs/dlt-source.md.
LOAD = """
import dlt
from refersion_dagster.refersion import refersion_source

pipeline = dlt.pipeline("refersion_pipeline", destination="filesystem", dataset_name="refersion_data")
pipeline.run(
    refersion_source(),
    table_format="delta",
    write_disposition={"disposition": "merge", "strategy": "upsert"},
    loader_file_format="parquet",
)
"""
TWO_WRITERS = f"""
import os, sys
from deltalake import DeltaTable

names = {{name: os.environ["{PREFIX}" + name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}}
endpoint = os.environ["{PREFIX}ENDPOINT_URL"]
options = names | {{"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}}
first, second = (DeltaTable(sys.argv[1], storage_options=options) for _ in range(2))
first.update(updates={{"status": "'FIRST'"}})
try:
    second.update(updates={{"status": "'SECOND'"}})
except Exception as error:
    print(type(error).__name__)
"""
SUMS = """
SELECT is_test_conversion, status, payment_status, currency, count(*), count(DISTINCT id), sum(total),
  sum(commission_total)
FROM delta_scan('{tables}/conversions') GROUP BY ALL
"""


class DeltaFolder:
    """A folder of Delta tables, in a bucket or on this machine."""

    def __init__(self, url: str, server: S3Server, sandbox: SandboxServer, folder: Path) -> None:
        self.url, self.tables, self._folder, self._sandbox = url, f"{url}/refersion_data", folder, sandbox
        self._keys = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "ENDPOINT_URL": f"http://{HOST}:{server.port}",
            "REGION_NAME": "us-east-1",
        }
        self.connection = duckdb.connect()
        for name in ("httpfs", "delta"):
            file = f"duckdb_extension_{name}/extensions/v{duckdb.__version__}/{name}.duckdb_extension"
            self.connection.execute(f"LOAD '{extensions() / file}'")
        self.connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', ENDPOINT '{HOST}:{server.port}', "
            "URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')"
        )

    def machine(self, name: str) -> Location:
        """A machine that knows nothing of earlier loads."""
        return Location.of(self._folder / name, self._sandbox).with_settings(
            DESTINATION__FILESYSTEM__BUCKET_URL=self.url,
            # The source by itself does not detect changes of older conversions.
            REFERSION_LOOKBACK_DAYS="730",
            DLT_DATA_DIR=str(self._folder / name / "dlt"),
            PYTHONPATH=str(installed("deltalake", *DELTALAKE)),
            **{f"{PREFIX}{key}": value for key, value in self._keys.items()},
        )

    def load(self, machine: str) -> None:
        ended = self.machine(machine).run("python", "-c", LOAD)
        assert ended.code == 0, ended.output[-3000:]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql.format(tables=self.tables)).fetchall()

    def conversions(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        return {row[:4]: row[4:] for row in self.query(SUMS)}

    def commits(self) -> int:
        """Number of commits to all tables."""
        return len(self.query("FROM glob('{tables}/*/_delta_log/*.json')"))


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(ACCOUNT) as running:
        yield running


@pytest.fixture(params=["s3", "folder"])
def delta(
    request: pytest.FixtureRequest, s3_server: S3Server, sandbox: SandboxServer, tmp_path: Path
) -> Iterator[DeltaFolder]:
    url = f"s3://{BUCKET}/{tmp_path.name}" if request.param == "s3" else str(tmp_path / "tables")
    folder = DeltaFolder(url, s3_server, sandbox, tmp_path)
    yield folder
    folder.connection.close()


def test_loads_are_merged_to_the_cent_from_whatever_machine(delta: DeltaFolder, sandbox: SandboxServer) -> None:
    for machine in ("one", "one", "other"):
        delta.load(machine)
        assert delta.conversions() == at_the_source(sandbox)
        for table, known in (("payments", "payments"), ("affiliates", "affiliates"), ("affiliate_get", "affiliates")):
            found = delta.query(f"SELECT count(*), count(DISTINCT id) FROM delta_scan('{{tables}}/{table}')")
            assert found == [(sandbox.sums()[known],) * 2], table
        sandbox.advance(days=40)
    kinds = "SELECT DISTINCT typeof(commission_total), typeof(created) FROM delta_scan('{tables}/conversions')"
    assert delta.query(kinds) == [("DECIMAL(18,4)", "TIMESTAMP WITH TIME ZONE")]


@pytest.mark.parametrize("delta", ["s3"], indirect=True)
@pytest.mark.parametrize(("commits", "machine"), [(1, "one"), (4, "one"), (4, "other")])
def test_a_load_that_is_killed_loses_and_doubles_nothing(
    delta: DeltaFolder, sandbox: SandboxServer, commits: int, machine: str
) -> None:
    """Killed between commits of its tables, then loaded again by the same machine or by another one."""
    delta.load("one")
    sandbox.advance(days=40)
    before = delta.commits()
    with delta.machine("one").start("python", "-c", LOAD) as process:
        assert soon(lambda: delta.commits() >= before + commits or process.poll() is not None, seconds=120)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    delta.load(machine)
    assert delta.conversions() == at_the_source(sandbox)


def test_of_two_writers_of_a_table_the_later_one_fails(delta: DeltaFolder) -> None:
    delta.load("one")
    ended = delta.machine("other").run("python", "-c", TWO_WRITERS, f"{delta.tables}/conversions")
    assert ended.output.splitlines()[-1].startswith("CommitFailedError")
    ((rows,),) = delta.query("SELECT count(*) FROM delta_scan('{tables}/conversions') WHERE status = 'SECOND'")
    assert rows == 0


@pytest.mark.parametrize("delta", ["folder"], indirect=True)
def test_duckdb_reads_the_tables_and_cannot_change_their_rows(delta: DeltaFolder) -> None:
    """The package's work after loading (history, missing rows, late months, webhooks) changes rows by SQL."""
    delta.load("one")
    delta.connection.execute(f"ATTACH '{delta.tables}/conversions' AS lake (TYPE delta, READ_WRITE)")
    for statement, said in (
        ("UPDATE lake.conversions SET vanished_at = now()", "Can only update base table"),
        ("DELETE FROM lake.conversions", "Can only delete from base table"),
        ("CREATE TABLE lake.conversion_history AS SELECT 1 AS id", "Not implemented"),
    ):
        with pytest.raises(duckdb.Error, match=said):
            delta.connection.execute(statement.replace("lake.conversions", f"lake.{_name(delta)}"))
    ((total,),) = delta.query("SELECT sum(commission_total) FROM delta_scan('{tables}/conversions')")
    assert total > Decimal(0)


def _name(delta: DeltaFolder) -> str:
    """The name of the only table that DuckDB creates for a folder."""
    ((name,),) = delta.query("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'")
    return name


def test_the_page_shows_what_is_tested() -> None:
    shown = (REPOSITORY / "docs" / "dlt-source.md").read_text("utf-8")
    assert LOAD.partition("refersion_source\n")[2].strip() in shown

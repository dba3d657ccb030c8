"""`refersion-dagster demo` in other databases: the same tables as in DuckDB, and no user data is overwritten."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from refersion_dagster.demo.environment import CATALOGUE, DATABASE, FILES
from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.location import Ended, Location
from refersion_dagster_tests.postgres import CREDENTIALS, PASSWORD, PostgresDatabase, PostgresServer
from refersion_dagster_tests.warehouse.lake_storage import LakeAddress, extensions
from refersion_dagster_tests.warehouse.test_same_figures import KEYS, RAW, Table, assert_same, read

pytestmark = pytest.mark.processes

# Hashes of personal values, with a salt that each warehouse generates for itself.
HASHES = {
    *("email_hash", "paypal_email_hash", "customer__name", "customer__email", "customer__browser_ip"),
    *("click__ip", "ip", "customer_email", "customer_ip", "traced_by"),
}


@dataclass(frozen=True)
class Shown:
    """A finished demo, and its tables."""

    ended: Ended
    tables: dict[tuple[str, str], Table]


def demo(folder: Path, destination: str, **settings: str) -> Ended:
    location = Location.of(folder / "user").with_settings(COLUMNS="100", **settings)
    return location.run("refersion-dagster", "demo", "--folder", str(folder / "demo"), "--destination", destination)


@pytest.fixture(scope="module")
def in_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("duckdb")
    ended = demo(folder, "duckdb")
    assert ended.code == 0, ended.output
    return Shown(ended, read(Warehouse(duckdb_path=str(folder / "demo" / DATABASE))))


@pytest.fixture(scope="module", params=["postgres", pytest.param("ducklake", marks=pytest.mark.warehouses)])
def elsewhere(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shown]:
    folder, destination = tmp_path_factory.mktemp("elsewhere"), request.param
    with ExitStack() as stack:
        if destination == "ducklake":
            request.getfixturevalue("lake_extensions")
            lake = LakeAddress(f"duckdb:///{folder / 'demo' / CATALOGUE}", str(folder / "demo" / FILES), {})
            stack.enter_context(lake.in_use())
            ended = demo(folder, destination, PYTHONPATH=str(extensions()))
        else:
            database = postgres_server.create_database()
            stack.enter_context(database.in_use())
            ended = demo(folder, destination, **database.credentials)
        assert ended.code == 0, ended.output
        yield Shown(ended, read(Warehouse(destination=destination)))


def test_its_tables_are_the_same_as_in_duckdb(in_duckdb: Shown, elsewhere: Shown) -> None:
    for schema, table in [*RAW, *KEYS]:
        both = [without_hashes(shown.tables[schema, table]) for shown in (in_duckdb, elsewhere)]
        assert_same(both, KEYS.get((schema, table)))
    assert len(in_duckdb.tables["refersion_data", "conversions"][1]) > 1000


def without_hashes(table: Table) -> Table:
    columns, rows = table
    kept = [at for at, (name, _) in enumerate(columns) if name not in HASHES]
    return [columns[at] for at in kept], [tuple(row[at] for at in kept) for row in rows]


def test_it_shows_the_same(in_duckdb: Shown, elsewhere: Shown) -> None:
    shown = [
        one.ended.output.partition("Who drove the sales?")[2].partition("Done in")[0] for one in (in_duckdb, elsewhere)
    ]
    assert len(shown[0]) > 1000
    assert shown[1] == shown[0]
    assert PASSWORD not in elsewhere.ended.output


def test_it_writes_to_no_database_that_has_tables(postgres: PostgresDatabase, tmp_path: Path) -> None:
    postgres.query("CREATE SCHEMA refersion_data")
    postgres.query("CREATE TABLE refersion_data.payments (id text)")
    ended = demo(tmp_path, "postgres", **postgres.credentials)
    said = " ".join(ended.output.split())
    assert ended.code == 1
    assert "already has tables in refersion_data, which may be those of a real account" in said
    assert PASSWORD not in ended.output
    assert postgres.counts() == {"payments": 0}
    assert postgres.query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'refersion%'") == [(1,)]


def test_without_credentials_it_says_how_to_set_them(tmp_path: Path) -> None:
    ended = demo(tmp_path, "postgres")
    said = " ".join(ended.output.split())
    assert ended.code == 1
    assert "PostgreSQL's credentials lack database" in said
    assert f"Set {CREDENTIALS}=postgresql://user:password@host:5432/database in .env" in said
    assert "Traceback" not in said

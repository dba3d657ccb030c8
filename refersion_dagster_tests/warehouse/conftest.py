from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.postgres import PostgresDatabase
from refersion_dagster_tests.snowflake import SnowflakeEmulator
from refersion_dagster_tests.warehouse.lake_storage import LakeAddress, S3Server, extensions

LAKE = pytest.param("ducklake", marks=pytest.mark.warehouses)


@pytest.fixture(params=["duckdb", "postgres", LAKE])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Warehouse]:
    """An empty warehouse in each of the databases."""
    if request.param == "duckdb":
        yield Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
        return
    request.getfixturevalue("postgres" if request.param == "postgres" else "lake")
    yield Warehouse(destination=request.param)


@pytest.fixture(scope="session")
def lake_extensions() -> Iterator[Path]:
    """DuckDB's extensions for lakes, on this process's import path."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        folder = extensions()
        monkeypatch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture(scope="session")
def s3_server(lake_extensions: Path) -> Iterator[S3Server]:
    """An S3 server shared by all tests of this worker. Each test has its own folder."""
    assert lake_extensions.is_dir()
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def lake(s3_server: S3Server, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> LakeAddress:
    """An empty lake for this test, with files in S3 and its catalogue in the fixture `postgres`."""
    address = s3_server.lake(postgres)
    for name, value in address.credentials.items():
        monkeypatch.setenv(name, value)
    return address


@pytest.fixture(scope="session")
def snowflake_emulator() -> Iterator[SnowflakeEmulator]:
    """An emulator of Snowflake that all tests of this worker share, each with a database of its own."""
    running = SnowflakeEmulator()
    yield running
    running.stop()

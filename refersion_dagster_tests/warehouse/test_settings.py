"""The choice of the database: every error says what to set, and reveals no credentials."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest

from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.warehouse.errors import WarehouseForbidden, WarehouseNotSet, WarehouseUnreachable
from refersion_dagster_tests.location import materialise
from refersion_dagster_tests.postgres import ADMIN, CREDENTIALS, HOST, PASSWORD, USER, PostgresDatabase, PostgresServer

SECRET = "hunter2"
PLAIN = f"postgresql://{USER}:{SECRET}@db.example.com/refersion"


def shown(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Everything that a log shows of an error: the traceback, and the errors it was raised from."""
    return "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("name", ["oracle", "mysql", "Postgres SQL", "", "duckdb;"])
def test_a_database_that_is_not_known_is_told_when_a_run_begins(name: str) -> None:
    warehouse = Warehouse(destination=name)
    for use in (lambda: warehouse.location, lambda: warehouse.query("SELECT 1")):
        with pytest.raises(
            WarehouseNotSet,
            match=r"REFERSION_DESTINATION is .+; .+ duckdb, postgres, ducklake, motherduck, bigquery, databricks, "
            r"snowflake or redshift\.",
        ):
            use()


def test_files_are_refused_with_what_to_set_instead() -> None:
    with pytest.raises(WarehouseNotSet, match=r"is 'filesystem'; .+ set ducklake\. .+ REFERSION_PUBLISH_PATH=s3://"):
        assert Warehouse(destination="filesystem").location


def test_a_run_fails_with_the_same_words_and_is_not_tried_again() -> None:
    outcome = materialise(RefersionResource(), Warehouse(destination="oracle"), "refersion/offers")
    assert not outcome.success
    assert (
        "it has to be duckdb, postgres, ducklake, motherduck, bigquery, databricks, snowflake or redshift"
        in outcome.failure
    )


@pytest.mark.parametrize("name", ["postgres", "PostgreSQL", " postgres "])
def test_its_name_may_be_written_in_several_ways(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(CREDENTIALS, PLAIN)
    assert Warehouse(destination=name).location == "postgresql://db.example.com:5432/refersion"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "lack database"),
        ("", "cannot be parsed"),
        (SECRET, "cannot be parsed"),
        (f"host=db user={USER} password={SECRET} dbname=refersion", "cannot be parsed"),
        (f"postgresql//{USER}:{SECRET}@db.example.com/refersion", "cannot be parsed"),
        (f"postgresql://{USER}:{SECRET}@db.example.com:port/refersion", "cannot be parsed"),
        (f"postgresql://{USER}:{SECRET}@db.example.com", "lack database"),
        (f"mysql://{USER}:{SECRET}@db.example.com/refersion", "have to begin with postgresql://"),
        (
            f"postgresql://{USER}:ab@{SECRET}@db.example.com/refersion",
            "The host in PostgreSQL's credentials is not valid",
        ),
        (
            f"postgresql://{USER}:ab@/{SECRET}@db.example.com/refersion",
            "The host in PostgreSQL's credentials is not valid",
        ),
        (f"postgresql://{USER}:ab@%2F{SECRET}@db.example.com/r", "The host in PostgreSQL's credentials is not valid"),
    ],
)
def test_credentials_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, given: str | None, told: str) -> None:
    if given is not None:
        monkeypatch.setenv(CREDENTIALS, given)
    with pytest.raises(WarehouseNotSet, match=told) as error:
        Warehouse(destination="postgres").query("SELECT 1")
    assert f"Set {CREDENTIALS}=postgresql://user:password@host:5432/database in .env" in str(error.value)
    assert "characters in the password, such as @ / : as %40 %2F %3A" in str(error.value)
    assert not error.value.may_pass
    assert SECRET not in shown(error)


@pytest.mark.parametrize("package", ["psycopg2", "adbc_driver_postgresql"])
def test_a_driver_that_is_not_installed_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setenv(CREDENTIALS, PLAIN)
    # Python's own way to mark a module that cannot be imported.
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(WarehouseNotSet, match=r"pip install 'dlt\[postgres\]' 'psycopg2-binary") as error:
        Warehouse(destination="postgres").query("SELECT 1")
    assert package.replace("_", "-") in str(error.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_every_way_to_write_the_address_connects(
    postgres_server: PostgresServer, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    address = f"{USER}:{quote(PASSWORD, safe='')}@{HOST}:{postgres_server.port}/{postgres.name}?application_name=mine"
    monkeypatch.setenv(CREDENTIALS, f"{scheme}://{address}")
    warehouse = Warehouse(destination="postgres")
    ((user, application),) = warehouse.query("SELECT current_user, current_setting('application_name')")
    assert (user, application) == (USER, "mine")
    assert warehouse.location == f"postgresql://{HOST}:{postgres_server.port}/{postgres.name}"


def test_credentials_may_be_in_dlts_own_files(
    postgres_server: PostgresServer, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part can be set separately, in dlt's files or environment variables. The pipeline's take precedence."""
    monkeypatch.delenv(CREDENTIALS)
    parts = {"HOST": HOST, "PORT": str(postgres_server.port), "USERNAME": USER, "PASSWORD": PASSWORD}
    for name, value in (parts | {"DATABASE": "nowhere"}).items():
        monkeypatch.setenv(f"{CREDENTIALS}__{name}", value)
    monkeypatch.setenv(f"REFERSION_PIPELINE__{CREDENTIALS}__DATABASE", postgres.name)
    assert Warehouse(destination="postgres").query("SELECT current_database()") == [(postgres.name,)]


def test_a_server_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIALS, f"postgresql://{USER}:{SECRET}@{HOST}:1/refersion")
    for use in (Warehouse(destination="postgres").session, lambda: Warehouse(destination="postgres").write_lock(print)):
        with (
            pytest.raises(WarehouseUnreachable, match=r"could not be opened.+port 1 failed.+run again when") as error,
            use(),
        ):
            pass
        assert error.value.may_pass
        assert SECRET not in shown(error)


@pytest.mark.parametrize(("user", "database"), [("nobody", None), (USER, "nowhere")])
def test_a_server_that_lets_nobody_in(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, user: str, database: str | None
) -> None:
    monkeypatch.setenv(CREDENTIALS, postgres.server.url(database or postgres.name, user))
    with pytest.raises(
        WarehouseUnreachable, match=r"(authentication failed|does not exist).+user and password"
    ) as error:
        Warehouse(destination="postgres").query("SELECT 1")
    assert PASSWORD not in shown(error)
    assert quote(PASSWORD, safe="") not in shown(error)


class TestRights:
    """The user that loads need not be the database's owner."""

    @pytest.fixture
    def theirs(self, postgres_server: PostgresServer) -> PostgresDatabase:
        """A database in which the user that loads may connect, but has no other rights."""
        database = postgres_server.create_database()
        postgres_server.query(ADMIN, f"ALTER DATABASE {database.name} OWNER TO {ADMIN}", user=ADMIN)
        return database

    def test_without_the_right_to_create_schemas_the_error_names_it(self, theirs: PostgresDatabase) -> None:
        with theirs.in_use(), Warehouse(destination="postgres").session() as session:
            with pytest.raises(WarehouseForbidden, match=r"permission denied for database.+to create schemas") as error:
                session.create_schema("refersion_summaries")
            assert not error.value.may_pass

    def test_schemas_of_its_own_are_enough(self, theirs: PostgresDatabase) -> None:
        theirs.query(f"CREATE SCHEMA refersion_summaries AUTHORIZATION {USER}", user=ADMIN)
        with theirs.in_use(), Warehouse(destination="postgres").session() as session:
            session.create_schema("refersion_summaries")
            session.query("CREATE TABLE refersion_summaries.numbers AS SELECT 1 AS number")

    def test_a_replica_takes_no_writes(self, postgres: PostgresDatabase) -> None:
        postgres.query(f"ALTER DATABASE {postgres.name} SET default_transaction_read_only = on")
        with (
            Warehouse(destination="postgres").session() as session,
            pytest.raises(WarehouseForbidden, match="read-only transaction"),
        ):
            session.create_schema("refersion_summaries")


def test_a_file_ignores_what_is_set_for_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIALS, "nonsense")
    assert Warehouse(duckdb_path=str(tmp_path / "w.duckdb")).query("SELECT 1") == [(1,)]

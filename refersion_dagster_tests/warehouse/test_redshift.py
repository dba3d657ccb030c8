"""Redshift: dlt's destination and driver against PostgreSQL in its place, and errors of real connections.

No cluster was tried. PostgreSQL is not Redshift: refersion_dagster_tests/redshift.py tells what is changed on the way.
Statements are tried by test_redshift_figures.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.redshift.errors import convert_error
from refersion_dagster.warehouse.redshift.session import comment_statements
from refersion_dagster_tests.actions.any_warehouse import check_writing
from refersion_dagster_tests.postgres import HOST, PASSWORD, PostgresDatabase
from refersion_dagster_tests.redshift import CREDENTIALS, environment, redshift_relative
from refersion_dagster_tests.warehouse import test_session
from refersion_dagster_tests.warehouse.test_lease import (  # noqa: F401 - they run here as well
    test_a_holder_that_lives_keeps_it_beyond_its_term,
    test_a_holder_whose_right_was_taken_over_is_told_when_it_checks_and_when_it_ends,
    test_a_table_that_cannot_tell_is_an_error,
    test_the_right_is_free_again_after_a_run_that_failed,
    test_who_waits_in_vain_is_told_for_whom_and_writes_nothing,
)


@pytest.fixture
def warehouse(postgres: PostgresDatabase) -> Iterator[Warehouse]:
    """A database of this test's own."""
    with redshift_relative(postgres):
        yield Warehouse(destination="redshift", lock_timeout_seconds=0)


class TestTables(test_session.TestTables):
    """Those of all databases."""


def test_it_says_where_it_is_and_who_may_write(warehouse: Warehouse, postgres: PostgresDatabase) -> None:
    assert warehouse.location == f"redshift://{HOST}:{postgres.server.port}/{postgres.name}"
    with warehouse.session() as session:
        assert session.native("SELECT current_setting('timezone'), current_setting('application_name')") == [
            ("UTC", "refersion_dagster")
        ]
        access = warehouse.database.write_access(session)
    assert access.is_granted
    assert access.writer == ""


def test_with_a_journal_elsewhere_each_item_is_sent_once(
    warehouse: Warehouse, sandbox: SandboxServer, tmp_path: Path
) -> None:
    check_writing(warehouse.destination, sandbox, tmp_path)


def test_descriptions_keep_their_quotes_and_backslashes() -> None:
    table, column = comment_statements("a", "b", r"It's \N", {"id": "x"})
    assert table == r"""COMMENT ON TABLE "a"."b" IS 'It\'s \\N'"""
    assert column == """COMMENT ON COLUMN "a"."b"."id" IS 'x'"""


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"PASSWORD": "wrong"}, WarehouseForbidden, "Redshift refused the login"),
        ({"DATABASE": "nowhere"}, WarehouseNotSet, "The database does not exist in Redshift"),
        ({"PORT": "1"}, WarehouseUnreachable, "Redshift cannot be reached"),
        ({"PASSWORD": ""}, WarehouseNotSet, "credentials are missing or incomplete"),
        ({"HOST": ""}, WarehouseNotSet, "credentials are missing or incomplete"),
    ],
)
def test_a_connection_that_fails_is_told_in_words(
    postgres: PostgresDatabase,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    kind: type[WarehouseError],
    said: str,
) -> None:
    given = environment(postgres) | {f"{CREDENTIALS}__{name}": value for name, value in changed.items()}
    for name, value in given.items():
        if value:
            monkeypatch.setenv(name, value)
    with pytest.raises(kind, match=said) as error:
        Warehouse(destination="redshift").query("SELECT 1 AS one")
    assert PASSWORD not in str(error.value)
    assert "wrong" not in str(error.value)


def test_a_missing_right_is_told_with_how_to_grant_it(warehouse: Warehouse, postgres: PostgresDatabase) -> None:
    with (
        warehouse.session() as session,
        pytest.raises(WarehouseForbidden, match=r"may not do what is needed in Redshift: .+ GRANT CREATE ON DATABASE"),
    ):
        session.native("SELECT * FROM pg_authid")
    assert postgres.name


def test_a_connection_that_breaks_is_told_in_words(warehouse: Warehouse, postgres: PostgresDatabase) -> None:
    with warehouse.session() as session:
        ((process,),) = session.native("SELECT pg_backend_pid()")
        postgres.server.end_connections(postgres, process)
        with pytest.raises(WarehouseUnreachable, match="the connection broke"):
            session.native("SELECT 1")


class InternalError(psycopg2.InternalError):
    """An error under Redshift's code for internal errors."""

    pgcode = "XX000"  # pyright: ignore[reportAssignmentType]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "1023\nDETAIL: Serializable isolation violation on table - 100",
            ConcurrentChange,
        ),
        ("Disk Full\nDETAIL: error: Disk Full code: 1016", WarehouseFull),
    ],
)
def test_internal_errors_are_known_by_their_words(said: str, kind: type[WarehouseError]) -> None:
    assert isinstance(convert_error(InternalError(said)), kind)


def test_errors_of_statements_are_left_as_they_are() -> None:
    assert convert_error(InternalError("Invalid digit, Value 'a', Pos 0, Type: Decimal")) is None
    assert convert_error(ValueError("disk full")) is None

"""The same account in DuckDB and in each other database: every value of every table is the same, with the same type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.report.commissions.figures import report_figures
from refersion_dagster.report.statements.asset import StatementsConfig, make
from refersion_dagster.report.statements.bounds import (
    bound_statements,
    find_unknown_currencies,
    from_bounds,
    rolled_bounds,
)
from refersion_dagster.report.statements.figures import roll_forward, select_conversions, statements
from refersion_dagster.resources import SUMMARIES, RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.summaries.build import BuildResult, build
from refersion_dagster.summaries.plot import plot
from refersion_dagster.summaries.query import RAW_COLUMNS
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.usage.costs import STATEMENT_SECONDS
from refersion_dagster_tests.checks.check_evaluation import Evaluations, evaluate
from refersion_dagster_tests.location import NOW, account_of, materialise
from refersion_dagster_tests.postgres import PostgresServer
from refersion_dagster_tests.redshift import redshift_relative
from refersion_dagster_tests.summaries.builders import all_summaries
from refersion_dagster_tests.warehouse.adversarial_rows import TEXTS, adversarial_conversions
from refersion_dagster_tests.warehouse.cloud_file import cloud_on_file

pytestmark = pytest.mark.exhaustive

ACCOUNT = SandboxSettings(affiliates=20, orders=250, days=150, now=NOW)
NASTY = 120
LAST_PAID = """
SELECT coalesce(payment_id, payment__id) FROM refersion_data.conversions
WHERE payment_status = 'PAID' AND status = 'APPROVED' AND NOT is_test_conversion ORDER BY created DESC, id LIMIT 1
"""
# A time zone with daylight saving time, amounts by currency, and windows of other lengths.
OTHER_SETTINGS = ReportSettings(
    report_timezone="America/New_York",
    minimum_payout="USD=50,EUR=12.34",
    platform_fee_percent="2.75",
    subscription="USD=299,JPY=1000",
    lapsed_days="45",
    rising_days="14",
    auto_approval_days="30",
)
KEYS = {(SUMMARIES, summary.name): summary.header.primary_key for summary in all_summaries()}
RAW = [(DATASET, table) for table in RAW_COLUMNS]
# Columns that depend on the load and not on the account.
OF_THE_LOAD = ("_dlt_load_id", "_dlt_id")

# Names and types of a table's columns, and its rows.
Table = tuple[list[tuple[str, str]], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Loaded:
    """One of two warehouses after the last load: every table, the results of checks, and the logs of the builds.

    Args:
        other: every table when the summaries were built with OTHER_SETTINGS.
    """

    warehouse: Warehouse
    built: dict[str, BuildResult]
    tables: dict[tuple[str, str], Table]
    checks: Evaluations
    other: dict[tuple[str, str], Table]

    @classmethod
    def of(cls, warehouse: Warehouse) -> Loaded:
        built = build_all(warehouse, ReportSettings())
        tables, checks = read(warehouse), evaluate(warehouse)
        build_all(warehouse, OTHER_SETTINGS)
        return cls(warehouse, built, tables, checks, read(warehouse))


def build_all(warehouse: Warehouse, settings: ReportSettings) -> dict[str, BuildResult]:
    with warehouse.session() as session:
        return {summary.name: build(session, summary, settings.parameters()) for summary in all_summaries()}


def read(warehouse: Warehouse) -> dict[tuple[str, str], Table]:
    found: dict[tuple[str, str], Table] = {}
    with warehouse.session() as session:
        for schema, table in [*RAW, *KEYS]:
            columns = [(name, kind) for name, kind in session.columns(schema, table) if name not in OF_THE_LOAD]
            names = ", ".join(name for name, _ in columns)
            found[schema, table] = columns, session.query(f"SELECT {names} FROM {schema}.{table}")
    return found


@pytest.fixture(
    scope="module",
    params=[
        *("postgres", "motherduck"),
        *(pytest.param(name, marks=pytest.mark.warehouses) for name in ("ducklake", "snowflake", "redshift")),
    ],
)
def both(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Loaded]]:
    """An account loaded twice into DuckDB and another database, three months apart.

    In between much changes, a row and a payment are deleted, and the schema of GraphQL gets a field.
    """
    path = tmp_path_factory.mktemp("same") / "warehouse.duckdb"
    warehouses = (Warehouse(duckdb_path=str(path)), Warehouse(destination=request.param))
    database = postgres_server.create_database()
    used = database.in_use()
    if request.param == "ducklake":
        used = request.getfixturevalue("s3_server").lake(database).in_use()
    elif request.param == "motherduck":
        used = cloud_on_file(path.with_name("cloud.duckdb"))
    elif request.param == "redshift":
        used = redshift_relative(database)
    elif request.param == "snowflake":
        used = request.getfixturevalue("snowflake_emulator").in_use("same")
    with SandboxServer(ACCOUNT) as sandbox, ExitStack() as stack:
        stack.enter_context(used)
        for values in adversarial_conversions(NASTY):
            sandbox.insert_conversion(**values)
        account = account_of(sandbox, pii="keep")
        load(account, warehouses, "conversions", "conversion_history", "graphql_schemas")
        ((id_,),) = warehouses[0].query("SELECT max(id) FROM refersion_data.conversions WHERE status = 'APPROVED'")
        sandbox.delete_conversion(int(id_))
        ((payment_id,),) = warehouses[0].query(LAST_PAID)
        sandbox.advance(days=95)
        sandbox.undo_payment(int(payment_id))
        sandbox.configure(add_fields={"Offer.tier": "Int"})
        load(account, warehouses, *RAW_COLUMNS)
        yield [Loaded.of(warehouse) for warehouse in warehouses]


def load(account: RefersionResource, warehouses: Sequence[Warehouse], *tables: str) -> None:
    for warehouse in warehouses:
        done = materialise(account, warehouse, *(f"refersion/{table}" for table in tables))
        assert done.success, done.failure


def test_the_account_has_what_makes_a_difference(both: list[Loaded]) -> None:
    query = both[0].warehouse.query
    kinds = "count(DISTINCT currency) > 3, count(vanished_at), count(DISTINCT status)"
    assert query(f"SELECT {kinds} FROM refersion_data.conversions") == [(True, 1, 4)]
    changes = query("SELECT DISTINCT change FROM refersion_data.conversion_history ORDER BY change")
    assert changes == [("changed",), ("new",), ("vanished",)]
    # NUL, which PostgreSQL cannot store, becomes U+FFFD in every warehouse; see coerce.py.
    notes = {note for (note,) in query("SELECT notes FROM refersion_data.conversions")}
    assert notes >= {text.replace("\x00", "\ufffd") for text in TEXTS}
    assert [table for table, (_, rows) in both[0].tables.items() if not rows] == []


@pytest.mark.parametrize(("schema", "table"), [*RAW, *KEYS])
def test_values_and_types_are_the_same(both: list[Loaded], schema: str, table: str) -> None:
    assert_same([loaded.tables[schema, table] for loaded in both], KEYS.get((schema, table)))


@pytest.mark.parametrize(("schema", "table"), KEYS)
def test_and_so_they_are_with_other_settings(both: list[Loaded], schema: str, table: str) -> None:
    assert_same([loaded.other[schema, table] for loaded in both], KEYS[schema, table])


def assert_same(both: list[Table], key: list[str] | None) -> None:
    (duckdb, of_duckdb), (other, of_other) = both
    assert other == duckdb
    names = [name for name, _ in duckdb]
    assert by_key(of_other, names, key) == by_key(of_duckdb, names, key)
    # 1.50 equals 1.5, and TRUE equals 1, but their texts differ.
    assert in_order(of_other) == in_order(of_duckdb)


def by_key(rows: list[tuple[Any, ...]], names: list[str], key: list[str] | None) -> dict[Any, dict[str, Any]]:
    """The rows by their primary key, so that a failure shows the row and column that differ."""
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return {tuple(row[name] for name in key or names): row for row in found}


def in_order(rows: list[tuple[Any, ...]]) -> list[list[tuple[str, str]]]:
    return sorted([(type(value).__name__, str(value)) for value in row] for row in rows)


def test_checks_find_the_same(both: list[Loaded]) -> None:
    duckdb, other = ({name: (found.passed, told(found)) for name, found in one.checks.items()} for one in both)
    assert other == duckdb
    assert len(duckdb) > 20


def told(found: Any) -> dict[str, Any]:
    """The metadata of a check without what its statements cost, which DuckDB does not report."""
    return {name: value.value for name, value in found.metadata.items() if name != STATEMENT_SECONDS}


def test_builds_tell_the_same_of_their_tables(both: list[Loaded]) -> None:
    for summary in all_summaries():
        duckdb, other = (loaded.built[summary.name] for loaded in both)
        assert (other.rows, other.columns) == (duckdb.rows, duckdb.columns)
        if summary.file.tree.args.get("order"):
            assert other.first_rows == duckdb.first_rows, summary.name


def test_plots_are_the_same(both: list[Loaded]) -> None:
    drawn = []
    for loaded in both:
        with loaded.warehouse.session() as session:
            drawn.append({summary.name: plot(session, summary) for summary in all_summaries() if summary.header.plot})
    assert all(drawn[0].values())
    assert drawn[1] == drawn[0]


def test_the_report_has_the_same_figures(both: list[Loaded]) -> None:
    found = []
    for loaded in both:
        with loaded.warehouse.session() as session:
            found.append(report_figures(session))
    assert found[0].currencies
    assert found[0].currencies[0].affiliates
    assert found[0].control_totals
    assert found[1] == found[0]


@pytest.mark.parametrize("month", [date(2025, 3, 1), date(2025, 9, 1)])
def test_statements_are_the_same_and_tie_in_both(both: list[Loaded], month: date) -> None:
    found = []
    for loaded in both:
        with loaded.warehouse.session() as session:
            of_month, rolled = statements(session, month), roll_forward(session, month)
            unknown, rows = find_unknown_currencies(session, month), list(select_conversions(session, month))
            partly = bound_statements(session, month, of_month, unknown)
            assert list(from_bounds(partly, rolled_bounds(session, month))) == []
            assert list(select_conversions(session, month, of_month[0].affiliate_id)) == [
                row for row in rows if row.affiliate_id == of_month[0].affiliate_id
            ]
        assert of_month
        assert rows
        # The account was not read for months, so only bounds are known for either month.
        assert unknown.keys() >= {one.currency for one in of_month}
        assert rolled == {}
        found.append((of_month, partly, rows))
    assert found[1] == found[0]


def test_and_so_are_their_files(both: list[Loaded], tmp_path: Path) -> None:
    found = []
    for number, loaded in enumerate(both):
        with loaded.warehouse.session() as session:
            make(session, StatementsConfig(allow_unknown=True), tmp_path / str(number), "0" * 8)
        (month,) = [folder for folder in (tmp_path / str(number)).iterdir() if folder.is_symlink()]
        found.append({path.name: told_of(path) for path in month.iterdir()})
    assert len(found[0]) > 10
    assert found[1] == found[0]


def told_of(path: Path) -> str:
    """A file's text without the time of the reading, which differs between the two."""
    return re.sub(r"\d+ \w+ \d{4}, \d\d:\d\d", "", path.read_text("utf-8"))

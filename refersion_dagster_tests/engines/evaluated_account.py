"""A small account in DuckDB with values that databases treat differently, and all statements that are run on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp

from refersion_dagster.checks.query import load_checks
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.report.commissions.figures import report_figures
from refersion_dagster.report.statements.bounds import (
    bound_statements,
    find_unknown_currencies,
    from_bounds,
    rolled_bounds,
)
from refersion_dagster.report.statements.figures import roll_forward, select_conversions, statements
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.build import FOUND_OUT
from refersion_dagster.summaries.plot import plot
from refersion_dagster.summaries.query import RAW_COLUMNS, list_tables
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.dialects.dialect import DuckDBDialect
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql import bind
from refersion_dagster_tests.checks.check_evaluation import evaluate
from refersion_dagster_tests.location import account_of
from refersion_dagster_tests.summaries.builders import all_summaries
from refersion_dagster_tests.warehouse.adversarial_rows import adversarial_conversions
from refersion_dagster_tests.warehouse.test_same_figures import (
    ACCOUNT,
    LAST_PAID,
    NASTY,
    OTHER_SETTINGS,
    build_all,
    load,
)

SETTINGS = {"UTC": ReportSettings(), "New York": OTHER_SETTINGS}
MONTHS = (date(2025, 3, 1), date(2025, 9, 1))


class Recorder(DuckDBDialect):
    """DuckDB's dialect, which records each statement written in it."""

    def __init__(self) -> None:
        object.__setattr__(self, "statements", {})

    __hash__ = object.__hash__
    statements: dict[str, exp.Expr]

    def fit(self, tree: exp.Expr) -> exp.Expr:
        self.statements.setdefault(tree.sql("duckdb", comments=False), tree.copy())
        return tree


@contextmanager
def recorded() -> Iterator[dict[str, exp.Expr]]:
    """All statements run in the context, by their text."""
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "dialect", recorder)
        yield recorder.statements


@dataclass(frozen=True)
class Evaluated:
    """The account with the summaries for one set of settings.

    Args:
        database: a copy of the warehouse.
        tables: the folder of all its tables as Parquet.
        named: SELECTs of files, with their settings replaced by values, by name.
        others: all other statements that read the tables, by their text.
    """

    database: Path
    tables: Path
    named: Mapping[str, exp.Expr]
    others: Mapping[str, exp.Expr]


# What a refresh records about its readings, in addition to the loaded data.
KEPT = (
    *("conversion_history", "conversion_readings", "_totals_when_read", "_counts_when_read", "_payments_seen"),
    *("_unsettled_totals", "_not_offered", "_findings", "_read_in_turn"),
)


@dataclass(frozen=True)
class Loaded:
    """A loaded account.

    Args:
        database: the warehouse.
        between: a warehouse with the rows of the second load, before the load recorded its changes.
        statements: the statements of the load, by their text.
    """

    database: Path
    between: Path
    statements: Mapping[str, exp.Expr]


def load_account(folder: Path) -> Loaded:
    """Load the account twice, three months apart. In between much changes, and a row and a payment are deleted."""
    database, first, between = folder / "warehouse.duckdb", folder / "first.duckdb", folder / "between.duckdb"
    warehouse = Warehouse(duckdb_path=str(database))
    with SandboxServer(ACCOUNT) as sandbox:
        for values in adversarial_conversions(NASTY):
            sandbox.insert_conversion(**values)
        account = account_of(sandbox, pii="keep")
        load(account, [warehouse], "conversions", "conversion_history")
        shutil.copy(database, first)
        ((id_,),) = warehouse.query("SELECT max(id) FROM refersion_data.conversions WHERE status = 'APPROVED'")
        sandbox.delete_conversion(int(id_))
        ((payment_id,),) = warehouse.query(LAST_PAID)
        sandbox.advance(days=95)
        sandbox.undo_payment(int(payment_id))
        with recorded() as statements_run:
            load(account, [warehouse], *RAW_COLUMNS)
    shutil.copy(database, between)
    with duckdb.connect(str(between)) as connection:
        connection.execute(f"ATTACH '{first}' AS first (READ_ONLY)")
        tables = "SELECT database_name, table_name FROM duckdb_tables() WHERE schema_name = ?"
        there = set(connection.execute(tables, [DATASET]).fetchall())
        for table in KEPT:
            connection.execute(f"DELETE FROM {DATASET}.{table}")
            if ("first", table) in there:
                connection.execute(f"INSERT INTO {DATASET}.{table} SELECT * FROM first.{DATASET}.{table}")
        for table in ("conversions", "payments", "affiliates", "affiliate_list", "clicks"):
            connection.execute(f"UPDATE {DATASET}.{table} SET vanished_at = NULL")
    return Loaded(database, between, {text: tree for text, tree in statements_run.items() if reads_tables(tree)})


def evaluated(loaded: Path, settings: ReportSettings, folder: Path) -> Evaluated:
    """Build the summaries of a loaded warehouse in a separate folder, and run everything that reads them."""
    database = Path(shutil.copy(loaded, folder / "warehouse.duckdb"))
    warehouse = Warehouse(duckdb_path=str(database))
    build_all(warehouse, settings)
    with recorded() as statements_run:
        evaluate(warehouse, settings=settings)
        with warehouse.session() as session:
            report_figures(session)
            for summary in all_summaries():
                if summary.header.plot:
                    plot(session, summary)
            for month in MONTHS:
                made, unknown = statements(session, month), find_unknown_currencies(session, month)
                roll_forward(session, month)
                list(from_bounds(bound_statements(session, month, made, unknown), rolled_bounds(session, month)))
                list(select_conversions(session, month))
                list(select_conversions(session, month, made[0].affiliate_id))
    named = named_cases(warehouse, settings)
    known = {tree.sql("duckdb", comments=False) for tree in named.values()}
    others = {text: tree for text, tree in statements_run.items() if text not in known and reads_tables(tree)}
    return Evaluated(database, export(database, folder / "tables"), named, others)


def reads_tables(tree: exp.Expr) -> bool:
    return any(table.db in (DATASET, SUMMARIES) for table in tree.find_all(exp.Table))


def named_cases(warehouse: Warehouse, settings: ReportSettings) -> dict[str, exp.Expr]:
    """The SELECTs of all summaries, and of the checks that have a file."""
    summaries = all_summaries()
    with warehouse.session() as session:
        values = {**settings.parameters(), **{name: find(session) for name, find in FOUND_OUT.items()}}
    checks = load_checks(list_tables(summary.name for summary in summaries))
    return {
        **{f"summary {summary.name}": bind(summary.file.tree, values) for summary in summaries},
        **{f"check {check.file.name}": bind(check.file.tree, values) for check in checks},
    }


def case_names() -> list[str]:
    """The names of named_cases."""
    summaries = all_summaries()
    checks = load_checks(list_tables(summary.name for summary in summaries))
    return [*(f"summary {one.name}" for one in summaries), *(f"check {one.file.name}" for one in checks)]


def export(database: Path, tables: Path) -> Path:
    tables.mkdir()
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema, table in connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name IN (?, ?)", [DATASET, SUMMARIES]
        ).fetchall():
            connection.execute(f"COPY {schema}.{table} TO '{tables}/{schema}.{table}.parquet' (FORMAT parquet)")
    return tables

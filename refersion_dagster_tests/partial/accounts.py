"""Accounts that offer less, made of one sandbox by its switches, and what has to be seen of each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refersion_dagster.checks.assets import SUMS, find_unknown_compared
from refersion_dagster.checks.outcome import find_offending_rows
from refersion_dagster.checks.query import load_checks
from refersion_dagster.checks.raw import KEYS, duplicates, variants
from refersion_dagster.checks.sums import find_drift
from refersion_dagster.report.commissions.figures import report_figures
from refersion_dagster.report.commissions.render import report_page
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.build import build
from refersion_dagster.summaries.knowledge import Gaps, find_unknown_columns, load_gaps
from refersion_dagster.summaries.query import Summary, list_tables
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.session import Session
from refersion_dagster_tests.location import account_of, materialise
from refersion_dagster_tests.report.commissions.report_helpers import MADE
from refersion_dagster_tests.summaries.builders import all_summaries

Figures = dict[str, dict[tuple[Any, ...], dict[str, Any]]]
VALUES = ReportSettings().parameters()
# When a row was approved is known from other sources on an account that tells less, and says so in approved_at_source.
ESTIMATED = frozenset({"approved_at_source", "unapproved_at", "basis"})
# What stands on approved_at.
AGEING = ESTIMATED | {
    *(
        "aged_since",
        "due_0_30_days",
        "due_31_60_days",
        "due_61_90_days",
        "due_over_90_days",
        "oldest_unpaid_at",
        "oldest_unpaid_days",
    ),
    *("due_from", "from_month", "median_days", "longest_days", "conversions", "not_measured"),
    *("opening_due", "closing_due", "newly_due", "change_in_due", "manual_credits", "reversed"),
}
# Totals say which currency is the account's own; without them it has its place among the others.
ORDER = frozenset({"place"})
# What was known of each row, and when: other rows on an account that tells less. Their sums are the roll-forward's.
READ = frozenset({"conversion_states", "due_bounds"})
# Bounds hold those of the account that tells more.
LOWEST, HIGHEST = ("_earliest", "_lowest"), ("_latest", "_highest")
# How much is proven is another figure where less is there to prove it with; test_proof_coverage.py is about these.
PROVEN = frozenset(
    {
        *("proven_by_totals", "accepted", "proven_by_payments", "not_proven", "not_settled", "not_offered"),
        *("share_by_totals", "share_by_payments", "share_not_proven"),
    }
)


@dataclass(frozen=True)
class Partial:
    """An account that lacks something.

    Args:
        name: what it lacks, in words.
        tables: raw tables to read again from it.
        switches: of the sandbox.
        without: fields of the resource that are not given.
        lacks: what has to be written down: tables, or fields of tables.
        unknown: columns of summaries that must not show a figure, as `summary.column`.
        known: columns that have to show one nevertheless.
        estimates: columns that are estimates of another kind on this account, and so may be others.
        other_rows: summaries whose keys hold such an estimate.
        tests_counted: tests cannot be told apart; without their rows all figures have to be the same.
    """

    name: str
    tables: tuple[str, ...]
    switches: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    estimates: frozenset[str] = ESTIMATED
    other_rows: tuple[str, ...] = ()
    tests_counted: bool = False

    def __str__(self) -> str:
        return self.name


def build_all(session: Session) -> None:
    for summary in all_summaries():
        build(session, summary, VALUES)


def figures(session: Session) -> Figures:
    """Every summary's rows, by primary key."""
    found: Figures = {}
    for summary in all_summaries():
        names = summary.columns
        rows = session.native(f"SELECT {', '.join(names)} FROM {SUMMARIES}.{summary.name}")
        dicts = [dict(zip(names, row, strict=True)) for row in rows]
        found[summary.name] = {tuple(row[name] for name in summary.header.primary_key): row for row in dicts}
    return found


def load(sandbox: SandboxServer, full: Path, folder: Path, partial: Partial) -> Warehouse:
    """The account's warehouse: as if it had been like that from the first load on."""
    warehouse = Warehouse(duckdb_path=str(shutil.copy(full, folder / "warehouse.duckdb")))
    tables = [
        *partial.tables,
        *(["conversion_history", "conversion_readings"] if "conversions" in partial.tables else []),
    ]
    with warehouse.session() as session:
        for table in tables:
            session.native(f"DELETE FROM refersion_data.{table}")
    sandbox.configure(**partial.switches)
    bare = account_of(sandbox, **dict.fromkeys(partial.without))
    # Details are read of changed affiliates alone, unless it is said otherwise.
    config = {"full_reload": True, "all_details": True}
    outcome = materialise(bare, warehouse, *(f"refersion/{table}" for table in tables), config=config)
    assert outcome.success, outcome.failure
    if partial.tests_counted:
        tests = ", ".join(str(row.id) for row in sandbox.account.conversions.values() if row.is_test_conversion)
        with warehouse.session() as session:
            for table in ("conversions", "conversion_history"):
                session.native(f"DELETE FROM refersion_data.{table} WHERE CAST(id AS bigint) IN ({tests})")
    return warehouse


def assert_true(found: Figures, full: Figures, gaps: Gaps, partial: Partial) -> None:
    """What is shown is what the full account shows; what is not is named."""
    wrong: list[str] = []
    for summary in all_summaries():
        unknown = find_unknown_columns(summary, gaps)
        # test_old_names.py says that a column is the same under its old name.
        left_out = {*unknown, *summary.header.renamed.values()} | partial.estimates | PROVEN | ORDER
        compared = [column for column in summary.columns if column not in left_out]
        if summary.name in READ:
            continue
        rows, whole = found[summary.name], full[summary.name]
        has_same_keys = not any(name in unknown for name in summary.header.primary_key)
        if has_same_keys and summary.name not in partial.other_rows:
            wrong += [f"{summary.name}: {key} is not there on the full account" for key in rows.keys() - whole.keys()]
            if not unknown:
                wrong += [f"{summary.name}: {key} is missing, unsaid" for key in whole.keys() - rows.keys()]
        for key in rows.keys() & whole.keys():
            for name in compared:
                if rows[key][name] is not None and not is_true(name, rows[key][name], whole[key][name]):
                    wrong.append(f"{summary.name}.{name} of {key} is {rows[key][name]}, not {whole[key][name]}")
    assert not wrong, f"{len(wrong)} figures are not true:\n" + "\n".join(wrong[:60])


def is_true(column: str, shown: Any, whole: Any) -> bool:
    """Whether a figure is that of the full account, or a bound that holds it."""
    if shown == whole:
        return True
    if column.endswith(LOWEST):
        return whole is None or shown <= whole
    return column.endswith(HIGHEST) and (whole is None or shown >= whole)


def assert_named(found: Figures, gaps: Gaps, partial: Partial) -> None:
    """Which figures must be unknown, and which must not."""
    assert {table if column is None else f"{table}.{column}" for table, column in gaps} == set(partial.lacks)
    for path in partial.unknown:
        summary, column = _column(path)
        assert column in find_unknown_columns(summary, gaps), f"{path} is said to be known"
        assert all(row[column] is None for row in found[summary.name].values()), f"{path} shows a figure"
    for path in partial.known:
        summary, column = _column(path)
        assert column not in find_unknown_columns(summary, gaps), f"{path} is said to be unknown"
        assert any(row[column] is not None for row in found[summary.name].values()), f"{path} shows no figure"


def _column(path: str) -> tuple[Summary, str]:
    name, _, column = path.partition(".")
    return next(one for one in all_summaries() if one.name == name), column


def failing(session: Session, gaps: Gaps) -> dict[str, int]:
    """Every check that fails, and the number of its rows; those of what is not known are left out."""
    summaries = all_summaries()
    found: dict[str, int] = {}
    for check in load_checks(list_tables(one.name for one in summaries)):
        if not find_unknown_compared(check, summaries, gaps):
            found[check.file.name] = find_offending_rows(session, check.file.tree, VALUES).count
    for summary in summaries:
        unknown = find_unknown_columns(summary, gaps)
        compared = {column: measure for column, measure in summary.header.sums.items() if column not in unknown}
        found[f"{summary.name}:{SUMS}"] = find_drift(session, summary.name, compared).count
    for table in KEYS:
        found[f"{table}:raw"] = (
            find_offending_rows(session, duplicates(table), {}).count + variants(session, table).count
        )
    return {name: count for name, count in found.items() if count}


@dataclass(frozen=True)
class Full:
    """An account that offers everything: its sandbox, its warehouse, what it shows, and its checks that fail."""

    sandbox: SandboxServer
    database: Path
    figures: Figures
    failing: dict[str, int]


def examine(full: Full, folder: Path, partial: Partial) -> None:
    """Refreshes the account and looks at all summaries and checks."""
    warehouse = load(full.sandbox, full.database, folder, partial)
    with warehouse.session() as session:
        build_all(session)
        gaps, found = load_gaps(session), figures(session)
        report_page(report_figures(session), [], MADE)  # shows what it has, whatever is NULL
        more = {name: rows for name, rows in failing(session, gaps).items() if rows != full.failing.get(name)}
    assert_named(found, gaps, partial)
    assert_true(found, full.figures, gaps, partial)
    assert not more, "these checks fail for what the account does not offer"

"""What vouches for an answer: checks, the age of the data, and what this account does not let anyone know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlglot import exp

from refersion_dagster.assistant.copies import OpenCopies, age_hours
from refersion_dagster.assistant.values import clean, plain
from refersion_dagster.checks.outcome import NOT_EVALUATED
from refersion_dagster.report.checks import CheckGroup, CheckState, group_checks
from refersion_dagster.settings import AlertSettings, ExtensionSettings
from refersion_dagster.summaries.amounts import CURRENCY
from refersion_dagster.summaries.knowledge import describe_gaps, find_unknown_columns, is_lacking
from refersion_dagster.summaries.query import Summary

# Checks of these tables vouch for amounts of every other table: they compare with Refersion's totals and payments.
PROOFS = ("control_totals", "payment_proof", "commission_roll_forward")
LATE = AlertSettings.variable("late_hours")
OWN_SUMMARIES = ExtensionSettings.variable("summaries_path")
NOT_RECORDED = (
    "The results of the checks are not recorded in these copies, so nothing here is vouched for. Run the job "
    "refersion_refresh with this release."
)


def describe_evidence(
    copies: OpenCopies, late_hours: int, tables: Collection[str], columns: Collection[str] | None = None
) -> tuple[list[str], dict[str, Any]]:
    """Returns what has to be said first, and the rest of the evidence.

    Args:
        late_hours: age of the data from which they are late.
        tables: the summaries that the answer reads.
        columns: the columns that it shows; None for all.
    """
    first: list[str] = []
    own = _foreign_tables(copies, tables)
    # What these are built from is not known here, so every check counts.
    below = _below(copies, tables)
    checks = [one for one in copies.checks if own or _table(one) in below]
    groups = group_checks(checks)
    for group in groups:
        if group.verdict == "failed":
            on = ", ".join(sorted(one.asset for one in group.checks))
            first.append(f"FAILED: check {group.name} of {on}: {_said(group.checks)}")
    first += describe_age(copies, late_hours)
    if not copies.checks:
        first.append(f"NOT CHECKED: {NOT_RECORDED}")
    not_evaluated = [one for one in checks if (one.said or "").startswith(NOT_EVALUATED)]
    if not_evaluated:
        names = ", ".join(sorted({one.name for one in not_evaluated}))
        first.append(f"NOT CHECKED: {names}: the account does not offer what these checks compare; see not_known.")
    for group in group_checks(one for one in checks if one not in not_evaluated):
        if group.verdict not in ("failed", "passed"):
            on = ", ".join(sorted(one.asset for one in group.checks))
            words = "WARNING" if group.verdict == "warning" else f"NOT CHECKED ({group.verdict})"
            first.append(f"{words}: check {group.name} of {on}: {_said(group.checks)}")
    if own:
        first.append(
            f"NOT CHECKED: this server does not know {', '.join(own)}, so it cannot tell the checks that matter, "
            f"and shows all. Set {OWN_SUMMARIES} as for the refresh."
        )
    unknown = find_unknown(copies, tables, columns)
    if unknown:
        nothing = (
            "No figure of conversions is known" if is_without_conversions(copies) else "Some figures are not known"
        )
        first.append(f"NOT KNOWN: {nothing} on this account. null or no row never means 0 here; see not_known.")
    if own and copies.gaps:
        first.append(
            f"NOT KNOWN: which columns of {', '.join(own)} need what this account does not offer "
            f"({describe_account_gaps(copies)}). null there may mean not known."
        )
    if tests := copies.manifest.get("tests_not_known"):
        first.append(f"WARNING: {clean(tests)}")
    evidence = {
        "as_of": plain(copies.as_of),
        "published_at": copies.manifest["published_at"],
        "time_zone_of_days_and_months": _zone(copies),
        "vouched_for_by": [_name_check(group) for group in groups if group.verdict == "passed"],
        "checked_since": plain(min((one.at for one in checks if one.at), default=None)),
        "not_known": unknown,
    }
    return first, evidence


def describe_age(copies: OpenCopies, late_hours: int) -> list[str]:
    """Says whether the data are late."""
    as_of = copies.as_of
    if as_of is None:
        return ["NO DATA: Refersion was never read. Run the job refersion_refresh."]
    if (hours := age_hours(as_of)) <= late_hours:
        return []
    return [
        f"LATE: Refersion was last read {hours:,} hours ago ({as_of.isoformat(timespec='seconds')}), more than the "
        f"{late_hours} of {LATE}. Later changes are not included. A refresh did not run, failed, or was blocked by a "
        "failed check: see Dagster's runs, or run refersion-dagster doctor."
    ]


def find_unknown(
    copies: OpenCopies, tables: Collection[str], columns: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Returns the figures that cannot be known on this account, grouped by what it does not offer."""
    found: dict[str, list[str]] = {}
    for table, column, lacking in _unknown_columns(copies, tables):
        if columns is None or column in columns:
            found.setdefault(lacking, []).append(f"{table}.{column}")
    return [
        {"figures": figures, "reason": f"This account does not offer {lacking}."} for lacking, figures in found.items()
    ]


def name_unknown(copies: OpenCopies, tables: Collection[str]) -> dict[str, str]:
    """Returns the names of the tables' columns that cannot be known, with what the account does not offer."""
    # The currency of an amount is always known; without conversions there are no rows.
    return {column: lacking for _, column, lacking in _unknown_columns(copies, tables) if column != CURRENCY}


def _unknown_columns(copies: OpenCopies, tables: Collection[str]) -> Iterator[tuple[str, str, str]]:
    gaps = copies.gap_set
    for summary in copies.summaries if gaps else ():
        if summary.name in tables:
            for column, unknown in find_unknown_columns(summary, gaps).items():
                yield summary.name, column, unknown.lacking


def describe_account_gaps(copies: OpenCopies) -> str:
    """Names everything that the account does not offer; empty if it offers everything."""
    return describe_gaps(copies.gap_set)


def is_without_conversions(copies: OpenCopies) -> bool:
    """Whether the account does not offer conversions, so that no figure is known."""
    return is_lacking(copies.gap_set, "conversions", "id")


def columns_shown(queries: Iterable[exp.Query]) -> set[str]:
    """Returns the names of columns that queries use."""
    return {column.name for query in queries for column in query.find_all(exp.Column)}


def tables_read(queries: Iterable[exp.Query]) -> set[str]:
    """Returns the names of summaries that queries read."""
    return {table.name for query in queries for table in query.find_all(exp.Table) if table.db}


def _foreign_tables(copies: OpenCopies, tables: Collection[str]) -> list[str]:
    """Returns the names of tables whose summaries this process does not know: own ones, if their folder is not set."""
    return sorted(set(tables) - {summary.name for summary in copies.summaries})


def _name_check(group: CheckGroup) -> str:
    """The name of a check, and what it is about."""
    if len(group.checks) == 1:
        return f"{group.name} of {group.checks[0].asset}"
    return f"{group.name} of {len(group.checks)} tables"


def _below(copies: OpenCopies, tables: Collection[str]) -> set[str]:
    """Returns the tables, all that they are built from, and the proofs, as `summaries/…` and `refersion/…`."""
    found: set[str] = set()
    waiting: list[Summary] = [one for one in copies.summaries if one.name in {*tables, *PROOFS}]
    while waiting:
        summary = waiting.pop()
        if (name := f"summaries/{summary.name}") not in found:
            found.add(name)
            found |= {f"refersion/{table}" for schema, table in summary.depends_on if table not in summary.reads}
            waiting += summary.reads.values()
    return found


def _table(check: CheckState) -> str:
    """The checked table, without what an account's names begin with."""
    return "/".join(check.asset.split("/")[-2:])


def _said(checks: Sequence[CheckState]) -> str:
    return clean("; ".join(dict.fromkeys(" ".join((one.said or "no result").split()) for one in checks)), 600)


def _zone(copies: OpenCopies) -> str | None:
    rows = copies.cursor().execute("SELECT timezone FROM refersion_summaries.data_as_of").fetchall()
    return rows[0][0] if rows else None

"""The figures of the pages, read from one set of published copies.

All come from the same set, so that a set that is published meanwhile changes nothing. Queries that the report or the
assistant has are theirs; the others are in sql/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from dashboard.cells import Cell, cells, describe_lacking
from refersion_dagster.assistant.copies import OpenCopies
from refersion_dagster.assistant.copies import queries as assistant_queries
from refersion_dagster.assistant.evidence import describe_account_gaps, describe_evidence, name_unknown, tables_read
from refersion_dagster.report.checks import group_checks
from refersion_dagster.report.commissions.proof import Coverage
from refersion_dagster.report.commissions.queries import queries as report_queries
from refersion_dagster.report.page import moment
from refersion_dagster.report.statements.file_names import file_name
from refersion_dagster.summaries.macros import MACROS
from refersion_dagster.warehouse.sql_file import SqlFile, SqlHeader, read_folder

FIRST_MONTH = date(1970, 1, 1)
# Rows of a table on a page. The page says how many there are.
MOST_FINDINGS = 500
MOST_OF_AFFILIATE = 200
IDENTITIES = ("affiliate_id", "month")
Row = dict[str, Cell | None]


def read_figures(copies: OpenCopies, late_hours: int) -> dict[str, Any]:
    """Returns everything that the pages show, as JSON.

    Args:
        late_hours: age of the data from which they are late.

    Raises CopiesNotReadable if a table is missing.
    """
    first, evidence = describe_evidence(copies, late_hours, set(copies.tables), columns=())
    zone = ZoneInfo(evidence["time_zone_of_days_and_months"] or "UTC")
    own = {file.name: file for file in read_folder("dashboard", SqlHeader, MACROS)}
    report, assistant = report_queries(), assistant_queries()
    every = {"currency": None, "affiliate_id": None, "kind": None}
    tables = {
        "owed": _read(copies, zone, assistant["owed"], every),
        "accruals": _read(copies, zone, own["accruals"], {}),
        "balances": _read(copies, zone, own["balances"], {}),
        "months": _read(copies, zone, report["months"], {"since": FIRST_MONTH}),
        "roll_forward": _read(copies, zone, report["roll_forward"], {"since": FIRST_MONTH}),
        "proof_months": _read(copies, zone, own["proof_months"], {}),
        "affiliates": _read(copies, zone, own["affiliates"], {}),
        "finding_counts": _read(copies, zone, assistant["finding_counts"], every),
        "findings": _read(copies, zone, assistant["findings"], {**every, "most": MOST_FINDINGS}),
        "auto_approvals": _read(copies, zone, own["auto_approvals"], {}),
        "payments_taken_back": _read(copies, zone, own["payments_taken_back"], {}),
        "coverage": _read(copies, zone, report["proof_coverage"], {}),
        "control_totals": _read(copies, zone, report["control_totals"], {}, "totals_currency"),
    }
    of_affiliates = {
        "due_periods": _read(copies, zone, own["due_periods"], {"most": MOST_OF_AFFILIATE}),
        "affiliate_months": _read(copies, zone, own["affiliate_months"], {}),
        "affiliate_payments": _read(copies, zone, own["affiliate_payments"], {"most": MOST_OF_AFFILIATE}),
    }
    affiliates = _affiliates(tables, of_affiliates)
    return {
        "as_of": {
            "text": moment(copies.as_of.astimezone(zone)) if copies.as_of else None,
            "exact": copies.as_of.astimezone(UTC).isoformat() if copies.as_of else None,
        },
        "published_at": moment(datetime.fromisoformat(evidence["published_at"]).astimezone(zone)),
        "time_zone": str(zone),
        "late_hours": late_hours,
        "release": copies.manifest["version"],
        "run_id": copies.manifest["run_id"],
        "read_first": [_notice(line) for line in first],
        "currencies": [row["currency"] for row in copies.run(report["currencies"])],
        "tables": {name: _by_currency(rows) for name, (rows, _) in tables.items() if name != "control_totals"},
        "control_totals": tables["control_totals"][0],
        "lacking": {
            name: {column: describe_lacking(names) for column, names in lacking.items()}
            for name, (_, lacking) in (tables | of_affiliates).items()
        },
        "affiliates": affiliates,
        "files": {one["exact_id"]: one["file"] for one in affiliates},
        "coverage": [str(Coverage(**row)) for row in copies.run(report["proof_coverage"])],
        "checks": [
            {
                "name": group.name.replace("_", " ").capitalize(),
                "verdict": group.verdict,
                "tables": [check.asset for check in group.checks],
                "said": group.checks[0].said,
                "at": moment(group.last.astimezone(zone)) if group.last else None,
            }
            for group in group_checks(copies.checks)
        ],
        "not_offered": describe_account_gaps(copies),
        "gaps": [{"table": gap.table, "column": gap.column, "reason": gap.reason} for gap in copies.gaps],
    }


def _read(
    copies: OpenCopies,
    zone: ZoneInfo,
    file: SqlFile[SqlHeader],
    values: Mapping[str, Any],
    currency: str = "currency",
) -> tuple[list[Row], dict[str, str]]:
    """Returns the rows of a query, and what the account does not offer, by column that is therefore not known."""
    unknown = name_unknown(copies, tables_read([file.tree]))
    lacking = {column: names for column, names in unknown.items() if column in file.columns}
    # What a row is about is no figure, and known even if the figures are not.
    hidden = {column: names for column, names in lacking.items() if column not in IDENTITIES}
    return [cells(row, hidden, zone, currency) for row in copies.run(file, **values)], hidden


def _by_currency(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        currency = row.get("currency")
        found.setdefault(currency["exact"] if currency and "exact" in currency else "", []).append(row)
    return found


def _notice(line: str) -> dict[str, Any]:
    """A line that has to be read first, and how serious it is."""
    kind = line.partition(":")[0]
    is_warning = kind not in ("FAILED", "LATE", "NO DATA")
    return {"is_warning": is_warning, "level": "warn" if is_warning else "bad", "text": line}


def _affiliates(
    tables: Mapping[str, tuple[list[Row], dict[str, str]]], details: Mapping[str, tuple[list[Row], dict[str, str]]]
) -> list[dict[str, Any]]:
    """Returns the affiliates in order of their names, each with the rows of their own page."""
    found: dict[str, dict[str, Any]] = {}
    shown = {**{name: tables[name][0] for name in ("affiliates", "balances")}, **{n: d[0] for n, d in details.items()}}
    for table, rows in shown.items():
        for row in rows:
            identity = row["affiliate_id"]
            if identity is None or "exact" not in identity:
                continue
            one = found.setdefault(
                identity["exact"],
                {
                    "id": identity["text"],
                    "exact_id": identity["exact"],
                    "file": file_name(identity["exact"]),
                    "name": None,
                    "tables": {},
                },
            )
            name = row.get("affiliate_name")
            one["name"] = one["name"] or (name["text"] if name and "text" in name else None)
            one["tables"].setdefault(table, []).append(row)
    ordered = sorted(found.values(), key=lambda one: ((one["name"] or "").casefold(), one["id"]))
    return [{**one, "tables": {name: _by_currency(one["tables"].get(name, ())) for name in shown}} for one in ordered]

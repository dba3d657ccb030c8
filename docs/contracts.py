"""A data contract for each summary, in the Open Data Contract Standard, from its SQL file and DuckDB's types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from docs.sample import SampleTable
from refersion_dagster.checks.query import SqlCheck, load_checks
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.amounts import additive_columns, currency_column, is_amount
from refersion_dagster.summaries.old_names import description
from refersion_dagster.summaries.query import list_tables

FOLDER = Path(__file__).parent / "contracts"
STANDARD = "v3.1.0"
HEAD = "# Written by `make docs`.\n"
LOGICAL_TYPES = {
    "varchar": "string",
    "boolean": "boolean",
    "bigint": "integer",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp with time zone": "timestamp",
}
LIMITATIONS = (
    "Amounts are exact decimals. Amounts in different currencies must not be added. NULL means that a value is not "
    "known; it is not 0."
)


def contracts(tables: Sequence[SampleTable]) -> dict[Path, str]:
    """Returns the text of each contract, by its file."""
    checks = load_checks(list_tables(table.summary.name for table in tables))
    return {
        FOLDER / f"{table.summary.name}.odcs.yaml": dump(
            contract(table, [one for one in checks if one.checked == (SUMMARIES, table.summary.name)])
        )
        for table in tables
    }


def dump(document: Mapping[str, Any]) -> str:
    """Returns a YAML document with the comment of generated files."""
    return HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def contract(table: SampleTable, checks: Sequence[SqlCheck]) -> dict[str, Any]:
    """Returns the contract of one summary.

    Args:
        checks: the checks of this table; `primary_key` and `sums_preserved` follow from its header.
    """
    summary, header = table.summary, table.summary.header
    return {
        "apiVersion": STANDARD,
        "kind": "DataContract",
        "id": f"{SUMMARIES}.{summary.name}",
        "name": summary.name,
        "version": version("refersion-dagster"),
        "status": "active",
        "domain": header.group,
        "description": {
            "purpose": _text(header.description),
            "usage": " ".join(header.questions),
            "limitations": LIMITATIONS,
        },
        "schema": [
            {
                "name": summary.name,
                "physicalName": f"{SUMMARIES}.{summary.name}",
                "physicalType": "table",
                "logicalType": "object",
                "dataGranularityDescription": _text(header.grain),
                "properties": [_property(table, name, kind) for name, kind in table.columns.items()],
                "quality": [*_header_rules(table), *map(_file_rule, checks)],
            }
        ],
    }


def _property(table: SampleTable, name: str, kind: str) -> dict[str, Any]:
    header = table.summary.header
    old = {old: new for new, old in header.renamed.items()}
    found: dict[str, Any] = {
        "name": name,
        "logicalType": "number" if kind.startswith("decimal") else LOGICAL_TYPES[kind],
        "physicalType": kind.upper(),
        "description": description(old[name]) if name in old else _text(header.columns[name]),
    }
    if name in header.primary_key:
        found |= {"required": True, "primaryKey": True, "primaryKeyPosition": header.primary_key.index(name) + 1}
    if name in old:
        found["deprecated"] = True
    if is_amount(kind):
        currency = currency_column(table.summary.name, old.get(name, name))
        found["customProperties"] = [
            {"property": "currencyColumn", "value": currency},
            {
                "property": "additive",
                "value": "withinCurrency" if old.get(name, name) in additive_columns(table.summary) else "notStated",
            },
        ]
    return found


def _header_rules(table: SampleTable) -> list[dict[str, Any]]:
    header = table.summary.header
    rules: list[dict[str, Any]] = [
        {
            "name": "primary_key",
            "type": "library",
            "metric": "duplicateValues",
            "arguments": {"properties": list(header.primary_key)},
            "mustBe": 0,
            "dimension": "uniqueness",
            "severity": "error",
        }
    ]
    if header.sums:
        sums = ", ".join(sorted(header.sums))
        rules.append(
            {
                "name": "sums_preserved",
                "type": "text",
                "description": f"Per currency, {sums} add up to the raw conversions.",
                "dimension": "accuracy",
                "severity": "error",
            }
        )
    return rules


def _file_rule(check: SqlCheck) -> dict[str, Any]:
    header = check.file.header
    return {
        "name": check.file.name,
        "type": "text",
        "description": f"{_text(header.description)} Otherwise: {_text(header.meaning)}",
        "severity": header.severity,
    }


def _text(text: str) -> str:
    return " ".join(text.split())

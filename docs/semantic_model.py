"""A description of the summaries for BI tools and assistants, in the format of Apache Ossie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from docs.contracts import FOLDER, LIMITATIONS, dump
from docs.sample import SampleTable
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.amounts import additive_columns, currency_column, is_amount

FILE = FOLDER / "semantic_model.yaml"
# A draft, the only version there is.
VERSION = "0.2.0.dev0"
NAME = "refersion"
TYPES = {
    "varchar": "String",
    "boolean": "Boolean",
    "bigint": "Integer",
    "date": "Date",
    "timestamp": "DateTime",
    "timestamp with time zone": "DateTimeTz",
}
# Tables whose key other tables have as a column of the same name.
REFERENCED = ("affiliates", "conversions", "payments", "currencies")
INSTRUCTIONS = (
    f"{LIMITATIONS} Add up only the metrics of this model, and group them by the currency that each one names, or "
    "filter one currency. Do not add up other columns: averages, shares, balances of several dates and cumulative "
    "amounts are not sums."
)


def semantic_model(tables: Sequence[SampleTable]) -> dict[Path, str]:
    """Returns the text of the semantic model, by its file."""
    model = {
        "name": NAME,
        "description": "Commissions of a Refersion account: who drove the sales, and what is owed.",
        "ai_context": {"instructions": INSTRUCTIONS},
        "datasets": [_dataset(table) for table in tables],
        "relationships": [one for table in tables for one in _relationships(table, tables)],
        "metrics": [one for table in tables for one in _metrics(table)],
    }
    return {FILE: dump({"version": VERSION, "semantic_model": [model]})}


def _dataset(table: SampleTable) -> dict[str, Any]:
    header = table.summary.header
    return {
        "name": table.summary.name,
        "source": f"{SUMMARIES}.{table.summary.name}",
        "primary_key": list(header.primary_key),
        "description": " ".join(f"{header.description} Grain: {header.grain}.".split()),
        "ai_context": {"examples": list(header.questions)},
        "fields": [_field(table, name, kind) for name, kind in _columns(table)],
    }


def _columns(table: SampleTable) -> Iterator[tuple[str, str]]:
    """Yields the columns without those under old names."""
    old = set(table.summary.header.renamed.values())
    yield from ((name, kind) for name, kind in table.columns.items() if name not in old)


def _field(table: SampleTable, name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": name,
        "expression": _expression(name),
        "datatype": _type(kind),
        "description": " ".join(table.summary.header.columns[name].split()),
    }
    if is_amount(kind):
        currency = currency_column(table.summary.name, name)
        place = f"the currency of column {currency}" if currency else "a currency that no column names"
        found["ai_context"] = {"instructions": f"An amount in {place}."}
    return found


def _metrics(table: SampleTable) -> Iterator[dict[str, Any]]:
    """Yields the sums that the check `sums_preserved` compares with the raw rows."""
    name = table.summary.name
    for column in sorted(additive_columns(table.summary)):
        currency = currency_column(name, column)
        yield {
            "name": f"{name}_{column}",
            "expression": _expression(f"SUM({name}.{column})"),
            "datatype": _type(table.columns[column]),
            "description": " ".join(table.summary.header.columns[column].split()),
            "ai_context": {
                "instructions": f"Additive within one currency only: group by {name}.{currency}, or filter one."
            },
        }


def _relationships(table: SampleTable, tables: Sequence[SampleTable]) -> Iterator[dict[str, Any]]:
    """Yields the tables whose key this table has as a column of the same name."""
    for target in tables:
        key = target.summary.header.primary_key
        if target.summary.name in REFERENCED and target is not table and set(key) <= set(table.columns):
            yield {
                "name": f"{table.summary.name}_{target.summary.name}",
                "from": table.summary.name,
                "to": target.summary.name,
                "from_columns": list(key),
                "to_columns": list(key),
            }


def _type(kind: str) -> str:
    return "Decimal" if kind.startswith("decimal") else TYPES[kind]


def _expression(text: str) -> dict[str, Any]:
    return {"dialects": [{"dialect": "ANSI_SQL", "expression": text}]}

"""Pages of the dictionary: one for each summary, from its SQL file and a fixed account of the sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from docs.sample import SampleTable
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.markdown import escape_markdown
from refersion_dagster.summaries.old_names import description
from refersion_dagster.summaries.query import GROUPS, Summary

FOLDER = Path(__file__).parent / "dictionary"
INDEX = "README.md"
SQL = "../../refersion_dagster/summaries/sql"
# Longer texts are cut in sample rows.
LONGEST = 40
INTRODUCTION = f"""\
# Dictionary

Every summary in the schema `{SUMMARIES}`: its grain, its columns, what it reads, and sample rows. `make docs`
writes the pages from the SQL files. The rows are those of a small account of the [sandbox](../sandbox.md).

The [contracts](../contracts/README.md) say the same for machines. Definitions that several tables share are in
[What each figure means](../figures.md).
"""
ABOUT = {
    "core": "Conversions, affiliates and payments, one row each, with the decisions that all other tables use.",
    "sales": "Who drove the sales, and what they cost.",
    "owed": "What is owed, to whom, since when, and what would be paid now.",
    "review": "What a person should review.",
    "proof": "How far the figures agree with Refersion's own.",
}


def pages(tables: Sequence[SampleTable]) -> dict[Path, str]:
    """Returns the text of each page of the dictionary, by its file."""
    summaries = [table.summary for table in tables]
    return {
        FOLDER / INDEX: index(summaries),
        **{FOLDER / f"{table.summary.name}.md": page(table, summaries) for table in tables},
    }


def index(summaries: Sequence[Summary]) -> str:
    """Returns the page that lists all summaries by group."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        rows = [(_link(one.name), _first_sentence(one.header.description)) for one in _sorted(summaries, group)]
        parts.append(f"## {group.capitalize()}\n\n{ABOUT[group]}\n\n{_table(('table', 'what it is'), rows)}")
    return "\n".join(parts)


def page(table: SampleTable, summaries: Sequence[Summary]) -> str:
    """Returns the page of one summary."""
    summary = table.summary
    header = summary.header
    readers = sorted(one.name for one in summaries if summary.name in one.reads)
    facts = [
        ("Grain", _one_line(header.grain)),
        ("Primary key", ", ".join(f"`{name}`" for name in header.primary_key)),
        ("Group", header.group),
        ("SQL", f"[{summary.name}.sql]({SQL}/{summary.name}.sql)"),
        ("Contract", f"[{summary.name}.odcs.yaml](../contracts/{summary.name}.odcs.yaml)"),
    ]
    old = {name: description(new) for new, name in header.renamed.items()}
    columns = [
        (f"`{name}`", kind, _one_line(header.columns.get(name) or old[name])) for name, kind in table.columns.items()
    ]
    parts = [
        f"# {summary.name}\n\n{_one_line(header.description)}\n",
        _table(("", ""), facts),
        "## Questions\n\n" + "".join(f"- {question}\n" for question in header.questions),
        "## Columns\n\n" + _table(("column", "type in DuckDB", "what it is"), columns),
        "## Where it comes from\n\n" + _drawing(summary, readers),
        "## Sample rows\n\n" + _sample(table, old),
    ]
    return "\n".join(parts)


def _drawing(summary: Summary, readers: Sequence[str]) -> str:
    """Returns what the summary reads and what reads it, as a Mermaid flow chart."""
    lines = ["```mermaid", "flowchart LR"]
    lines += [f'  {schema}_{name}["{_asset(schema, name)}"] --> this' for schema, name in sorted(summary.depends_on)]
    lines += [f'  this["<b>{summary.name}</b>"]']
    lines += [f'  this --> reader_{name}["{name}"]' for name in readers]
    return "\n".join([*lines, "```", ""])


def _asset(schema: str, name: str) -> str:
    return name if schema == SUMMARIES else f"raw {name}"


def _sample(table: SampleTable, hidden: Iterable[str]) -> str:
    """Returns the sample rows, one column of the page for each, without columns under old names."""
    if not table.rows:
        return "The sandbox's account has no such rows.\n"
    shown = [name for name in table.columns if name not in hidden]
    at = {name: place for place, name in enumerate(table.columns)}
    rows = [(f"`{name}`", *(_value(row[at[name]]) for row in table.rows)) for name in shown]
    return _table(("column", *(f"row {number}" for number in range(1, len(table.rows) + 1))), rows)


def _value(value: Any) -> str:
    if value is None:
        return "*NULL*"
    text = str(value)
    return escape_markdown(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")


def _sorted(summaries: Iterable[Summary], group: str) -> list[Summary]:
    return sorted((one for one in summaries if one.header.group == group), key=lambda one: one.name)


def _link(name: str) -> str:
    return f"[{name}]({name}.md)"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _first_sentence(text: str) -> str:
    return _one_line(text).split(". ")[0].rstrip(".") + "."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)

"""A summary's file: one SELECT in DuckDB's dialect under a header that says what the table is.

    /*
    description: …
    grain: one row per …
    primary_key: [affiliate_id, currency]
    owners: [team:data]
    questions:
      - Who drove the sales?
    columns:
      orders: …
    */
    SELECT …

Tables are named with their schema (refersion_data.conversions), which makes dependencies plain and lets the SELECT be
pasted into any DuckDB client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import sqlglot
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from refersion_dagster.refersion.entities import ENTITIES
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES

DIALECT = "duckdb"


class SummaryError(Exception):
    """A summary's file is not as it has to be; names file and line."""


class Header(BaseModel):
    """What the file says of its table."""

    model_config = ConfigDict(extra="forbid")

    description: str
    grain: str
    primary_key: list[str] = Field(min_length=1)
    owners: list[str] = Field(min_length=1)
    questions: list[str] = Field(min_length=1)
    columns: dict[str, str] = {}


@dataclass(frozen=True)
class Summary:
    """One summary.

    Args:
        name: the table's name, that of the file.
        header: what the file says of it.
        select: the SELECT as written.
        line: the line of the file on which the SELECT begins.
        depends_on: (schema, table) pairs it reads.
        columns: its columns, in order.
    """

    name: str
    path: str
    header: Header
    select: str
    line: int
    depends_on: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = field(default=())


def load_summaries() -> list[Summary]:
    """All summaries, each after those it reads. Raises SummaryError at the first mistake."""
    folder = resources.files("refersion_dagster.summaries") / "sql"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return in_order([parse(file.read_text("utf-8"), str(file)) for file in files])


def parse(text: str, path: str) -> Summary:
    """Reads a file's text. Raises SummaryError with file and line."""
    start, end = text.find("/*"), text.find("*/")
    if text[: max(start, 0)].strip() or start < 0 or end < 0:
        raise SummaryError(f"{path}:1: the file has to begin with a header between /* and */.")
    header = _header(text[start + 2 : end], path, text.count("\n", 0, start) + 1)
    select = text[end + 2 :]
    line = text.count("\n", 0, end) + 1 + select[: len(select) - len(select.lstrip())].count("\n")
    select = select.strip().removesuffix(";")
    try:
        statements = [statement for statement in sqlglot.parse(select, dialect=DIALECT) if statement]
    except (ParseError, TokenError) as error:
        first = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
        at = line + int(first.get("line", 1)) - 1
        raise SummaryError(
            f"{path}:{at}: this is not SQL that can be read: {first.get('description', error)}"
        ) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SummaryError(f"{path}:{line}: a summary is exactly one SELECT, without any other statement.")
    query = statements[0]
    columns = tuple(query.named_selects)
    for name, where in [
        *((key, "primary_key") for key in header.primary_key),
        *((c, "columns") for c in header.columns),
    ]:
        if name not in columns:
            raise SummaryError(
                f"{path}:1: {where} names {name}, which the SELECT does not give ({', '.join(columns)})."
            )
    return Summary(Path(path).stem, path, header, select, line, _tables(query, path, line), columns)


def _header(text: str, path: str, line: int) -> Header:
    try:
        said: Any = yaml.safe_load(text)
        if not isinstance(said, Mapping):
            raise SummaryError(f"{path}:{line}: the header is not a list of `name: value` lines.")
        return Header.model_validate(said)
    except yaml.MarkedYAMLError as error:
        at = line + (error.problem_mark.line if error.problem_mark else 0)
        raise SummaryError(f"{path}:{at}: the header is not YAML: {error.problem}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SummaryError(f"{path}:{line}: the header is not complete or holds something unknown: {wrong}") from None


def _tables(query: exp.Query, path: str, line: int) -> tuple[tuple[str, str], ...]:
    names = {cte.alias for cte in query.find_all(exp.CTE)}
    found: dict[tuple[str, str], None] = {}
    for table in query.find_all(exp.Table):
        if not table.db and table.name in names:
            continue
        at = line + next((int(part.meta["line"]) for part in table.walk() if "line" in part.meta), 1) - 1
        if table.db not in (DATASET, SUMMARIES):
            raise SummaryError(
                f"{path}:{at}: {table.sql()} is no table of {DATASET} or {SUMMARIES}; name it with its schema."
            )
        if table.db == DATASET and table.name not in ENTITIES:
            raise SummaryError(f"{path}:{at}: there is no raw table {table.name}; there are {', '.join(ENTITIES)}.")
        found[table.db, table.name] = None
    return tuple(found)


def in_order(summaries: Iterable[Summary]) -> list[Summary]:
    """Each summary after those it reads. Raises SummaryError for one that does not exist, or a circle."""
    waiting = {summary.name: summary for summary in summaries}
    for summary in waiting.values():
        for schema, table in summary.depends_on:
            if schema == SUMMARIES and table not in waiting:
                raise SummaryError(f"{summary.path}:{summary.line}: there is no summary {table}.")
    done: list[Summary] = []
    while waiting:
        ready = [
            summary
            for summary in waiting.values()
            if not any(schema == SUMMARIES and table in waiting for schema, table in summary.depends_on)
        ]
        if not ready:
            raise SummaryError(f"These summaries read each other in a circle: {', '.join(_circle(waiting))}.")
        done += ready
        for summary in ready:
            del waiting[summary.name]
    return done


def _circle(waiting: Mapping[str, Summary]) -> list[str]:
    """Summaries of which each reads another one; those that only come after a circle are left out."""
    names = list(waiting)
    while True:
        read = {table for name in names for schema, table in waiting[name].depends_on if schema == SUMMARIES}
        if len(left := [name for name in names if name in read]) == len(names):
            return names
        names = left

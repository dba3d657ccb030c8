"""Definitions of tables, columns, figures and terms, from the summaries' headers and the documentation's tables."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from refersion_dagster.documentation import page
from refersion_dagster.errors import ReportedError
from refersion_dagster.summaries.query import Summary

PAGES = ("docs/figures.md", "docs/glossary.md")
ROW = re.compile(r"^\| (?P<name>[^|]+?) \| (?P<text>[^|]+?) \|")
MOST = 25


class NotDefined(ReportedError):
    """No table, column, figure or term has this name. The message names similar ones."""


class Definition(NamedTuple):
    """What a name means, and where that is written."""

    name: str
    text: str
    source: str


def define(term: str, summaries: Sequence[Summary]) -> dict[str, Any]:
    """Returns the definitions of a name such as `due`, `commission_liability.due`, or `control totals`.

    Args:
        summaries: the summaries whose headers are read.

    Raises NotDefined.
    """
    wanted = _key(term)
    every = [*_documented(), *_of_summaries(summaries)]
    found = [one for one in every if wanted in _keys(one)]
    if not found:
        words = set(wanted.split())
        found = [one for one in every if words and words <= {*_key(one.name).replace(".", " ").split()}]
    if not found:
        names = sorted({key for one in every for key in _keys(one)})
        near = difflib.get_close_matches(wanted, names, n=8, cutoff=0.5)
        raise NotDefined(
            f"Nothing is called {term[:60]!r}. "
            + (f"Similar names: {', '.join(near)}." if near else "Tables and figures are listed in docs/tables.md.")
        )
    # The same column in several tables may mean the same; the definition of the documentation comes first.
    found.sort(key=lambda one: (not one.source.startswith("docs/"), "." in one.name))
    return {
        "definitions": [one._asdict() for one in found[:MOST]],
        "more": max(len(found) - MOST, 0),
    }


def _keys(one: Definition) -> set[str]:
    """The names by which a definition is found: its own, of a column with and without its table, of a row each part."""
    whole = _key(one.name)
    parts = [_key(part) for part in re.split(r"[,(]", one.name)]
    return {whole, whole.rpartition(".")[2], *filter(None, parts)}


def _key(text: str) -> str:
    return " ".join(re.sub(r"[`*_)\s]+", " ", text.lower()).split())


def _of_summaries(summaries: Sequence[Summary]) -> Iterator[Definition]:
    for summary in summaries:
        header = summary.header
        yield Definition(
            summary.name,
            f"{' '.join(header.description.split())} ({header.grain.strip()})",
            f"summary {summary.name}",
        )
        for column, text in header.columns.items():
            yield Definition(f"{summary.name}.{column}", " ".join(text.split()), f"summary {summary.name}")


@cache
def _documented() -> tuple[Definition, ...]:
    return tuple(_read_pages())


def _read_pages() -> Iterator[Definition]:
    for file in PAGES:
        found = page(file)
        for line in found.read_text("utf-8").splitlines() if found else ():
            match = ROW.match(line)
            if match and not set(match["name"]) <= set("-"):
                yield Definition(match["name"].strip("*` "), match["text"], file)

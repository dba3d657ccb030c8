"""Renders rows as Markdown for Dagster's UI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Names and e-mails are untrusted input: they must not become a link, an image or a tag.
MARKUP = frozenset("&<>|[]()!`*~\\")


def escape_markdown(text: str) -> str:
    """Escapes a text so that Markdown shows it literally, in one line."""
    line = " ".join(text.splitlines())
    return "".join(f"&#{ord(character)};" if character in MARKUP else character for character in line)


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns rows as a Markdown table with escaped cells."""

    def cell(value: Any) -> str:
        return escape_markdown("" if value is None else str(value))

    lines = [map(cell, names), ["---"] * len(names), *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""Rows as Dagster's UI shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Names and e-mails are what strangers typed in: none of it may become a link, an image or a tag.
MARKUP = frozenset("&<>|[]()!`*~\\")


def harmless(text: str) -> str:
    """A text as one line of Markdown that is shown just as it is."""
    line = " ".join(text.splitlines())
    return "".join(f"&#{ord(character)};" if character in MARKUP else character for character in line)


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a Markdown table, cells made harmless."""

    def cell(value: Any) -> str:
        return harmless("" if value is None else str(value))

    lines = [map(cell, names), ["---"] * len(names), *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""Signed lines and tables of figures for a terminal, readable at any width."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from refersion_dagster.rounding import format_amount

NAME_WIDTH = 22
# Shown for an unknown figure.
NOT_KNOWN = "–"
# Around a column's text.
PADDING = 2

# Text is wrapped at this width on narrower terminals.
NARROWEST = 40

Figure = Decimal | int | None


class Sign(Enum):
    """The sign of a line, a fallback for terminals that cannot show it, and its colour."""

    GOOD = ("✓", "ok", "green")
    DOUBT = ("!", "!", "yellow")
    BAD = ("✗", "x", "bold red")
    NONE = ("-", "-", "dim")

    def on(self, console: Console) -> tuple[str, str]:
        """The sign that this terminal can show, and its colour."""
        sign, plain, style = self.value
        return (sign if supports_signs(console) else plain.ljust(2)), style


def make_console(**options: Any) -> Console:
    """A console for the terminal or the original standard output, even while Dagster redirects it to a run's log."""
    try:
        own = os.dup(sys.stdout.fileno())
    except OSError:  # standard output is replaced by an in-memory object
        return Console(**options)
    file = os.fdopen(own, "w", 1, sys.stdout.encoding, sys.stdout.errors)
    return Console(file=file, **options)


def supports_signs(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def print_signed(console: Console, sign: Sign, text: str, label: str = "", style: str = "") -> int:
    """Prints a sign, a label and a text, wrapped on a terminal and on one line elsewhere.

    Returns how far the text is indented.
    """
    mark, colour = sign.on(console)
    begin = f" {label}  " if label else " "
    indent = 2 + len(mark) + len(begin)
    first, *rest = wrap(text, console, indent)
    console.print(Text.assemble("  ", (mark, colour), begin, (first, style)), soft_wrap=True, highlight=False)
    for more in rest:
        console.print(Text(" " * indent + more, style), soft_wrap=True, highlight=False)
    return indent


def wrap(text: str, console: Console, taken: int) -> list[str]:
    """The text wrapped to the width left after `taken` characters; a single line if the console is not a terminal."""
    words = " ".join(text.split())
    if not console.is_terminal:
        return [words]
    width = max(NARROWEST, console.width - taken)
    return textwrap.wrap(words, width, break_on_hyphens=False) or [""]


def number_of(count: int, one: str, several: str) -> str:
    return f"{count:,} {one if count == 1 else several}"


def figure_tables(
    title: str, names: Sequence[str], lines: Sequence[tuple[str, Sequence[Figure]]], width: int, *, total: bool = False
) -> Iterator[Table]:
    """Tables of named lines of figures. A narrow terminal gets several tables, one below another.

    Args:
        title: title of the first table.
        names: names of the columns, beginning with the column of line names.
        lines: name and figures of each line. Names may be cut, figures never are.
        width: width of the terminal, in characters.
        total: whether the last line is the sum of the others.
    """
    texts = [list(map(figure, figures)) for _, figures in lines]
    widths = [
        max(len(name), *(len(line[at]) for line in texts)) if texts else len(name) for at, name in enumerate(names[1:])
    ]
    first = min(NAME_WIDTH, max(len(names[0]), *(len(name) for name, _ in lines)) if lines else len(names[0]))
    for number, columns in enumerate(_fit(widths, width - first - 2 * PADDING)):
        table = Table(
            title=title if not number else None, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD
        )
        table.add_column(names[0], no_wrap=True, max_width=first, min_width=first)
        for at in columns:
            table.add_column(names[at + 1], justify="right", no_wrap=True, min_width=widths[at])
        for place, ((name, _), line) in enumerate(zip(lines, texts, strict=True)):
            last = total and place == len(lines) - 1
            if last:
                table.add_section()
            table.add_row(escape(name), *(line[at] for at in columns), style="bold" if last else None)
        yield table


def _fit(widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """Groups of columns that fit side by side, at least one per group."""
    group: list[int] = []
    for at, one in enumerate(widths):
        if group and sum(widths[other] + PADDING for other in group) + one + PADDING > width:
            yield group
            group = []
        group.append(at)
    yield group


def name_with_id(name: str, id_: str) -> str:
    """A name that may not be unique, followed by its id, which is never cut."""
    room = NAME_WIDTH - len(id_) - 1
    return f"{name if cell_len(name) <= room else set_cell_size(name, max(room - 1, 1)).rstrip() + '…'} {id_}"


def total_of(lines: Sequence[Sequence[Figure]]) -> list[Figure]:
    """The sum of each column. None if one of its figures is unknown."""
    return [None if None in column else sum(column, 0) for column in map(list, zip(*lines, strict=True))]  # pyright: ignore[reportArgumentType, reportCallIssue]


def figure(value: Figure) -> str:
    """Formats an amount as 1,234.50, a number as 1,234."""
    if value is None:
        return NOT_KNOWN
    return f"{value:,}" if isinstance(value, int) else format_amount(value)

"""Tables of figures in a terminal: every figure is there whole, however narrow it is."""

from __future__ import annotations

import io
import re
from decimal import Decimal

import pytest
from rich.cells import cell_len
from rich.console import Console

from refersion_dagster.terminal import NAME_WIDTH, figure_tables, name_with_id, total_of

NAMES = ("affiliate", "orders", "sales", "pending", "due", "paid")
LINES = [
    ("株式会社 [bold] of a very long name indeed", (1, Decimal("1234567.885"), Decimal("-3.2"), None, Decimal(0))),
    ("all", (1_000, Decimal("99999999.99"), Decimal(0), None, Decimal(0))),
]


def printed(width: int) -> str:
    screen = io.StringIO()
    console = Console(file=screen, width=width)
    for table in figure_tables("Commission, USD", NAMES, LINES, console.width, total=True):
        console.print(table)
    return screen.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_figure_is_cut(width: int) -> None:
    shown = printed(width)
    assert max(map(len, shown.splitlines())) <= width
    figures = re.findall(r"-?[\d,]+(?:\.\d\d)?|–", shown)
    assert {"1", "1,234,567.89", "-3.20", "–", "0.00", "1,000", "99,999,999.99"} <= set(figures)
    assert {*NAMES} <= set(shown.split())
    assert shown.count("Commission, USD") == 1


def test_wide_terminals_have_one_table() -> None:
    assert printed(80).count("affiliate") == 1
    assert printed(40).count("affiliate") > 1


def test_a_sum_with_a_figure_that_is_not_known_is_not_known() -> None:
    assert total_of([(1, None, Decimal("1.10")), (2, Decimal(5), Decimal("2.20"))]) == [3, None, Decimal("3.30")]


@pytest.mark.parametrize(
    "name", ["Anna", "Party 🎉 Parrot Partners", "全国アフィリエイト連盟株式会社東京本社", "x" * 60]
)
def test_a_name_with_an_id_has_the_whole_id_and_fits_its_column(name: str) -> None:
    told = name_with_id(name, "37569712")
    assert told.endswith(" 37569712")
    assert cell_len(told) <= NAME_WIDTH

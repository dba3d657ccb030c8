"""How many pages a statement takes on A4."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from playwright.sync_api import Browser

from refersion_dagster.report.statements.figures import LastReading, Lines, Statement, StatementConversion
from refersion_dagster.report.statements.pages import Section, statement_page
from refersion_dagster.report.statements.request import StatementRequest

pytestmark = pytest.mark.processes

ISSUE = StatementRequest(
    date(2026, 10, 1), LastReading(datetime(2026, 11, 1, 5, tzinfo=UTC), date(2026, 11, 1), "America/New_York")
)
AMOUNT = Decimal("-1234.56")


def section(currency: str, conversions: int) -> Section:
    """A section with every amount and word as long as they commonly are."""
    found = Section(Statement("37560058", "Ann Example", "Example, Ltd.", currency, Lines(*[AMOUNT] * 7)))
    for number in range(conversions):
        order, made_on = f"4500{number:05}", date(2026, 10, 31)
        words = (f"{number}", order, made_on, "cancellation", "unqualified")
        found.add(StatementConversion("37560058", currency, *words, AMOUNT, *[AMOUNT] * 5))
    return found


def pages(browser: Browser, *sections: Section) -> int:
    page = browser.new_page()
    try:
        page.set_content(statement_page(ISSUE, sections, "37560058.csv"))
        return len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(prefer_css_page_size=True)))
    finally:
        page.close()


@pytest.mark.parametrize("conversions", [0, 1, 30])
def test_a_normal_affiliates_statement_is_one_page(browser: Browser, conversions: int) -> None:
    assert pages(browser, section("USD", conversions)) == 1


def test_so_is_one_of_few_conversions_in_three_currencies(browser: Browser) -> None:
    assert pages(browser, section("USD", 4), section("EUR", 2), section("JPY", 0)) == 1


def test_a_long_one_takes_no_more_pages_than_it_needs(browser: Browser) -> None:
    assert 3 <= pages(browser, section("USD", 150)) <= 4

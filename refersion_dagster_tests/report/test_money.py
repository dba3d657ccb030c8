"""Formatted amounts."""

from decimal import Decimal

import pytest

from refersion_dagster.report.money import amount, decimals, money


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        ("1114.5", "USD", "$1,114.50"),
        ("-1114.5", "EUR", "-€1,114.50"),
        ("1234567.0000", "JPY", "¥1,234,567"),
        ("12.3456", "KWD", "KWD\u00a012.346"),
        ("0.10", "CHF", "CHF\u00a00.10"),
        ("-0.004", "USD", "$0.00"),
        # Halves are rounded up, as in the tables.
        ("0.125", "USD", "$0.13"),
        ("-0.125", "USD", "-$0.13"),
        ("2.5", "JPY", "¥3"),
        ("1.0005", "KWD", "KWD\u00a01.001"),
        ("99999999999999999999999999999999.995", "USD", "$100,000,000,000,000,000,000,000,000,000,000.00"),
        ("0", "GBP", "£0.00"),
        ("999999999999999999.99", "USD", "$999,999,999,999,999,999.99"),
        ("5", "ZZZ", "ZZZ\u00a05.00"),
        ("5", "usd", "5.00\u00a0usd"),
        ("-5", "<b>", "-5.00\u00a0<b>"),
        ("5", "", "5.00"),
        ("5", None, "5.00"),
    ],
)
def test_money_has_its_currency_and_the_decimals_of_it(value: str, currency: str | None, shown: str) -> None:
    assert money(Decimal(value), currency) == shown


def test_an_amount_stands_without_the_currency() -> None:
    assert amount(Decimal("-1114.5"), "JPY") == "-1,115"
    assert amount(Decimal("-1114.5"), "EUR") == "-1,114.50"


def test_none_is_a_dash_and_no_zero() -> None:
    assert amount(None, "USD") == money(None, "USD") == "–"


def test_currencies_have_the_decimals_that_cldr_says() -> None:
    assert [decimals(code) for code in ("JPY", "EUR", "KWD", "ZZZ", "")] == [0, 2, 3, 2, 2]

"""Which SQL of an assistant runs: nothing that adds currencies, nothing but reading the summaries."""

from __future__ import annotations

import duckdb
import pytest

from refersion_dagster.assistant.amounts import QueryRefused
from refersion_dagster.assistant.query_rules import check_query
from refersion_dagster_tests.assistant.queries import ALLOWED, REFUSED

AMOUNT, RATIO, TEXT = "DECIMAL(38,4)", "DECIMAL(18,6)", "VARCHAR"
# The types of a part of the summaries' columns.
TABLES = {
    "commission_liability": {
        **dict.fromkeys(("affiliate_id", "affiliate_name", "currency"), TEXT),
        **dict.fromkeys(("due", "due_over_90_days", "pending"), AMOUNT),
        "approval_rate": RATIO,
    },
    "payout_preview": {**dict.fromkeys(("affiliate_id", "currency"), TEXT), "due": AMOUNT},
    "conversions": {
        **dict.fromkeys(("conversion_id", "order_id", "affiliate_id", "currency", "offer_id"), TEXT),
        **dict.fromkeys(("total", "commission", "offer_amount"), AMOUNT),
    },
    "commission_roll_forward": {"month": "DATE", "currency": TEXT, "closing_due": AMOUNT},
    "control_totals": {"totals_currency": TEXT, "loaded_commission": AMOUNT},
    "conversion_states": {
        **dict.fromkeys(("currency", "currency_before"), TEXT),
        "amount": AMOUNT,
        "amount_before": AMOUNT,
    },
    "currencies": {"currency": TEXT, "place": "BIGINT"},
}


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_query_whose_amounts_have_one_currency_runs_as_it_was_checked(sql: str) -> None:
    checked = check_query(sql, TABLES)
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA refersion_summaries")
        for table, columns in TABLES.items():
            declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(f"CREATE TABLE refersion_summaries.{table} ({declared})")
        found = connection.execute(checked.tree.sql("duckdb"))
        assert {*checked.currencies} <= {column[0] for column in found.description or ()}


@pytest.mark.parametrize(("sql", "why"), REFUSED)
def test_a_query_that_adds_currencies_or_does_more_than_read_is_refused(sql: str, why: str) -> None:
    with pytest.raises(QueryRefused, match=why):
        check_query(sql, TABLES)


def test_amounts_are_told_with_their_currency() -> None:
    assert check_query(
        "SELECT currency AS c, sum(due) AS d FROM commission_liability GROUP BY 1", TABLES
    ).currencies == {"d": "column c"}
    assert check_query("SELECT sum(due) AS d FROM commission_liability WHERE currency = 'EUR'", TABLES).currencies == {
        "d": "EUR"
    }
    assert check_query("SELECT offer_amount FROM conversions", TABLES).currencies == {"offer_amount": None}


def test_a_deeply_nested_query_is_refused() -> None:
    with pytest.raises(QueryRefused):
        check_query("SELECT " + "(" * 4_000 + "1" + ")" * 4_000 + " AS a", TABLES)

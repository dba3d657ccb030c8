"""The field `currency` of /conversion/totals: tried once, remembered, and used for every currency if it works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import NOW, Outcome, account_of, materialise

ACCOUNT = SandboxSettings(affiliates=8, orders=120, days=150, now=NOW, currencies=("USD", "EUR", "JPY"))
RAW = ("refersion/conversions", "refersion/conversion_totals")
CURRENCIES = "SELECT DISTINCT currency, currency_asked FROM refersion_data.conversion_totals ORDER BY 1"
VERDICTS = (
    "SELECT totals_currency, verdict, count(*) > 0 FROM refersion_summaries.control_totals "
    "WHERE verdict <> 'agrees' OR month = DATE '2025-06-01' GROUP BY 1, 2 ORDER BY 1, 2"
)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(ACCOUNT) as running:
        yield running


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))


def load(sandbox: SandboxServer, warehouse: Warehouse, *assets: str) -> Outcome:
    outcome = materialise(account_of(sandbox), warehouse, *(assets or (*RAW, "summaries/control_totals")))
    assert outcome.success, outcome.failure
    return outcome


def found(warehouse: Warehouse) -> list[tuple[object, ...]]:
    return warehouse.query("SELECT answer FROM refersion_data._findings WHERE question LIKE 'currency%'")


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["refused", "ignored"])
def test_where_it_does_not_work_it_is_tried_once(sandbox: SandboxServer, warehouse: Warehouse, how: str) -> None:
    sandbox.configure(totals_currency_field=how)
    log = load(sandbox, warehouse, *RAW).log
    assert sum("Tried the parameter currency" in line for line in log) == 1
    assert found(warehouse) == [(how,)]
    assert warehouse.query(CURRENCIES) == [("USD", False)]
    sandbox.configure(totals_currency_field="works")
    assert not [line for line in load(sandbox, warehouse, *RAW).log if "Tried the parameter currency" in line]
    assert warehouse.query(CURRENCIES) == [("USD", False)]
    with warehouse.session() as session:
        session.query("DELETE FROM refersion_data._findings")
    load(sandbox, warehouse, *RAW)
    assert warehouse.query(CURRENCIES) == [("EUR", True), ("JPY", True), ("USD", True)]


@pytest.mark.exhaustive
def test_where_it_works_every_currency_is_compared(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    sandbox.configure(totals_currency_field="works")
    load(sandbox, warehouse)
    assert found(warehouse) == [("works",)]
    assert warehouse.query(VERDICTS) == [(currency, "agrees", True) for currency in ("EUR", "JPY", "USD")]
    # A late change in a currency other than the account's own shows, and its month is read again.
    row = next(
        row
        for row in sandbox.account.conversions.values()
        if row.currency == "JPY" and row.status == "APPROVED" and row.created < (NOW.timestamp() - 130 * 86_400)
    )
    sandbox.advance(seconds=60)
    sandbox.change_conversion(row.id, status="DENIED")
    late = load(sandbox, warehouse).metadata["refersion/conversions"]["late_months"]
    assert list(late.values()) == [["2 totals changed"]]
    assert warehouse.query(f"SELECT status FROM refersion_data.conversions WHERE id = '{row.id}'") == [("DENIED",)]
    # An error in the warehouse alone is a difference in that currency only.
    with warehouse.session() as session:
        session.query("UPDATE refersion_data.conversions SET total = total + 1 WHERE id = $id", id=str(row.id))
    load(sandbox, warehouse, "summaries/control_totals")
    differing = warehouse.query(
        "SELECT totals_currency, status, order_total_difference FROM refersion_summaries.control_totals "
        "WHERE verdict = 'differs'"
    )
    assert [(currency, status, int(amount)) for currency, status, amount in differing] == [("JPY", "DENIED", 1)]


@pytest.mark.exhaustive
def test_an_account_of_one_currency_is_not_asked(warehouse: Warehouse) -> None:
    with SandboxServer(SandboxSettings(affiliates=4, orders=20, days=60, now=NOW, currencies=("USD",))) as sandbox:
        log = load(sandbox, warehouse, *RAW).log
    assert not [line for line in log if "Tried the parameter currency" in line]

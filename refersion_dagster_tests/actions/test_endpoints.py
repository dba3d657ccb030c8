"""Every operation, launched like a user does: the resulting data in Refersion, the result table and the warehouse."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.planning.input_files import from_file
from refersion_dagster_tests.actions.actions_harness import ActionsHarness, credit_of, csv_file


def done(
    actions: ActionsHarness, endpoint: str, columns: str, items: list[dict[str, Any]] | None = None, **config: Any
) -> Any:
    """Launches a job that succeeds. Returns these columns of its result table."""
    ended = actions.launch(endpoint, items, **config)
    assert ended.success, ended.failure
    told = ended.metadata[f"actions/{endpoint}"]
    rows = actions.query(f"SELECT {columns} FROM refersion_data.{endpoint} ORDER BY place, key")
    assert told["dagster/row_count"] == len(rows)
    return rows


def performed(actions: ActionsHarness, endpoint: str, columns: str, items: list[dict[str, Any]]) -> Any:
    """Sends items without Dagster and without reading again. Returns these columns of the result table."""
    actions.perform(endpoint, items)
    return actions.query(f"SELECT {columns} FROM refersion_data.{endpoint} ORDER BY place, key")


def test_affiliate_new(actions: ActionsHarness) -> None:
    new = {
        "first_name": "Zoë",
        "last_name": "Ørsted",
        "email": "zoe@example.com",
        "status": "ACTIVE",
        "offer_id": list(actions.sandbox.account.offers)[1],
        "country": "dk",
        "conversion_trigger_coupon": "ZOE10",
        "unique_merchant_id": "m42",
    }
    ((number, code, link, email, outcome),) = performed(
        actions, "affiliate_new", "affiliate_id, affiliate_code, link, email, outcome", [new]
    )
    made = actions.sandbox.account.affiliates[int(number)]
    assert (made.code, made.email, made.country, made.offer_id) == (code, email, "DK", new["offer_id"])
    assert (link.endswith(code), outcome) == (True, "done")


def test_affiliate_status_change(actions: ActionsHarness) -> None:
    """Affiliates that already have the status are not changed, and each is reported."""
    people = [actions.affiliate(number) for number in range(3)]
    for person, status in zip(people, ("ACTIVE", "DISABLED", "ACTIVE"), strict=True):
        actions.sandbox.change_affiliate(person.id, status=status)
    items = [{"affiliate_id": person.id, "status": "DISABLED"} for person in people]
    rows = performed(actions, "affiliate_status_change", "affiliate_id, status, outcome, message, answer", items)
    assert [row[:4] for row in rows] == [
        (str(people[0].id), "DISABLED", "done", None),
        (str(people[1].id), "DISABLED", "not_changed", "Refersion did not change it."),
        (str(people[2].id), "DISABLED", "done", None),
    ]
    assert json.loads(rows[0][4]) == {"ids_changed": [people[0].id, people[2].id], "ids_not_changed": [people[1].id]}
    assert actions.writes() == {"rest:/affiliate/status_change": 1}


@pytest.mark.exhaustive
def test_affiliate_edit_out_of_a_file(actions: ActionsHarness, tmp_path: Path) -> None:
    one, other = actions.affiliate(0), actions.affiliate(1)
    file = csv_file(
        tmp_path / "edit.csv",
        "affiliate_id;company;email;custom_field_901",
        f'{one.id};"Æther; Ltd";;https://example.com/æ',
        f"{other.id};;new.address@example.com;",
    )
    rows = done(actions, "affiliate_edit", "affiliate_id, company, email, custom_fields, place, source", file=file)
    custom = json.dumps([{"id": 901, "value": "https://example.com/æ"}], ensure_ascii=False)
    assert rows == [
        (str(one.id), "Æther; Ltd", None, custom, "row 2", file),
        (str(other.id), None, "new.address@example.com", None, "row 3", file),
    ]
    assert (one.company, other.email) == ("Æther; Ltd", "new.address@example.com")
    assert [field.value for field in one.custom_fields if field.id == 901] == ["https://example.com/æ"]
    # Only the details have the company, not the list.
    assert actions.query(f"SELECT company_name FROM refersion_data.affiliate_get WHERE id = '{one.id}'") == [
        ("Æther; Ltd",)
    ]
    assert actions.query(f"SELECT email FROM refersion_data.affiliates WHERE id = '{other.id}'") == [(other.email,)]


@pytest.mark.exhaustive
def test_affiliate_trigger_and_trigger_delete(actions: ActionsHarness) -> None:
    person, other = actions.affiliate(0), actions.affiliate(1)
    items = [{"affiliate_code": person.code, "type": "COUPON", "trigger": f"save{number}"} for number in range(2)]
    rows = performed(actions, "affiliate_trigger", "trigger, trigger_made, trigger_id", items)
    made = [trigger for trigger in actions.sandbox.account.triggers.values() if trigger.trigger in ("SAVE0", "SAVE1")]
    assert rows == [(f"save{at}", f"SAVE{at}", str(trigger.id)) for at, trigger in enumerate(made)]

    away = [
        {"affiliate_id": owner.id, "type": "COUPON", "trigger": trigger}
        for owner, trigger in ((person, "SAVE0"), (other, "SAVE1"))
    ]
    rows = performed(actions, "trigger_delete", "trigger, outcome, trigger_id", away)
    assert rows == [("SAVE0", "done", str(made[0].id)), ("SAVE1", "not_changed", None)]
    assert [trigger.trigger for trigger in made if trigger.id in actions.sandbox.account.triggers] == ["SAVE1"]


def test_conversion_manual_credit(actions: ActionsHarness) -> None:
    credits = [
        credit_of(actions.affiliate(0), "12.5"),
        credit_of(actions.affiliate(1), "-0.10", currency="EUR", status="APPROVED", notes="Taken back"),
    ]
    columns = "affiliate_id, commission, currency, status, conversion_id, requested_by, purpose"
    rows = done(actions, "conversion_manual_credit", columns, credits, purpose="july")
    assert [row[:4] + row[5:] for row in rows] == [
        (str(actions.affiliate(0).id), Decimal("12.5000"), "USD", "PENDING", "Ada", "july"),
        (str(actions.affiliate(1).id), Decimal("-0.1000"), "EUR", "APPROVED", "Ada", "july"),
    ]
    assert actions.query(
        "SELECT DISTINCT data_type FROM duckdb_columns() "
        "WHERE table_name = 'conversion_manual_credit' AND column_name = 'commission'"
    ) == [("DECIMAL(18,4)",)]
    # Both calls are marked as loaded, so that no later run loads them again.
    assert [(entry.attempt, entry.loaded) for entry in actions.journal()] == [(1, True), (1, True)]
    # The warehouse has the rows that Refersion created, and the totals that they are compared with.
    made = actions.query(
        "SELECT c.affiliate_id, c.commission_total, c.currency, c.status, c.notes FROM refersion_data.conversions AS c "
        "JOIN refersion_data.conversion_manual_credit AS m ON m.conversion_id = c.id ORDER BY m.place"
    )
    assert [row[:4] for row in made] == [row[:4] for row in rows]
    assert [row[4].partition(" [ref ")[0] for row in made] == ["Bonus", "Taken back"]
    assert actions.query("SELECT count(*) FROM refersion_data.conversion_history WHERE change = 'new'")[0][0] == len(
        actions.sandbox.account.conversions
    )


def test_conversion_manual_credit_order_id(actions: ActionsHarness) -> None:
    row = next(row for row in actions.conversions("APPROVED") if row.order_id and row.affiliate_id)
    person = next(one for one in map(actions.affiliate, range(12)) if one.id != row.affiliate_id)
    item = {"affiliate_id": person.id, "order_id": row.order_id, "status": "PENDING"}
    rows = performed(actions, "conversion_manual_credit_order_id", "order_id, outcome, warning", [item])
    assert rows == [(row.order_id, "done", f"Order ID is already credited to affiliate {row.affiliate_id}")]
    actions.sandbox.advance(seconds=130)
    assert any("[ref " in one.notes for one in actions.sandbox.account.by_affiliate[person.id])


@pytest.mark.exhaustive
def test_conversion_status_change(actions: ActionsHarness) -> None:
    """Calls have at most 50 items and one status each. Rows that somebody else changed are reported separately."""
    rows = actions.conversions("PENDING")[:4]
    actions.sandbox.change_conversion(rows[1].id, status="DENIED")
    statuses = ("APPROVED", "APPROVED", "UNQUALIFIED", "DENIED")
    items = [{"conversion_id": row.id, "status": status} for row, status in zip(rows, statuses, strict=True)]
    found = done(actions, "conversion_status_change", "conversion_id, status, outcome", items)
    assert [outcome for _, _, outcome in found] == ["done", "not_changed", "done", "done"]
    assert actions.writes() == {"rest:/conversion/status_change": 3}
    # The job reads again from the oldest one, which also shows the other change.
    ids = ", ".join(f"'{row.id}'" for row in rows)
    assert dict(actions.query(f"SELECT id, status FROM refersion_data.conversions WHERE id IN ({ids})")) == {
        str(row.id): row.status for row in rows
    }


def test_conversion_cancel_out_of_a_file(actions: ActionsHarness, tmp_path: Path) -> None:
    row = next(row for row in actions.conversions("APPROVED") if row.order_id and row.total > 30)
    file = csv_file(
        tmp_path / "cancel.csv", "order_id,sku,price,quantity", f"{row.order_id},A,9.99,2", f"{row.order_id},B,0.01,"
    )
    rows = from_file(Path(file), ENDPOINTS["conversion_cancel"])
    assert actions.perform("conversion_cancel", [], rows=rows) == ["done"]
    ((order_id, conversion_id, place),) = actions.query(
        "SELECT order_id, conversion_id, place FROM refersion_data.conversion_cancel"
    )
    assert (order_id, place) == (row.order_id, "rows 2, 3")
    assert actions.sandbox.account.conversions[int(conversion_id)].total == Decimal("-19.99")


def test_new_sku_commission(actions: ActionsHarness) -> None:
    offers = list(actions.sandbox.account.offers)[:2]
    rate = {"commission_type": "PERCENT_OF_SALE", "commission_amount": "12.5"}
    first = [{"offer_id": offers[0], "sku": "A"} | rate]
    assert actions.send("new_sku_commission", first) == ["done"]
    items = [{"offer_id": offer, "sku": sku} | rate for offer in offers for sku in ("A", "B")]
    items[0] |= {"product_description": "Shirt", "commission_type": "FLAT_RATE"}
    rows = done(actions, "new_sku_commission", "offer_id, sku, outcome, message", items)
    assert sorted(row[1:3] for row in rows if row[0] == str(offers[0])) == [
        ("A", "done"),
        ("A", "not_changed"),
        ("B", "done"),
    ]
    assert actions.sandbox.account.sku_commissions[offers[1], "B"] == ("PERCENT_OF_SALE", Decimal("12.50"))
    assert actions.writes() == {"rest:/offer/new_sku_commission": 3}


def test_none_is_left_out() -> None:
    """Each write operation of the published contract has a test above."""
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    named = {name for name in ENDPOINTS if any(name in test for test in tested)}
    assert named == set(ENDPOINTS)


@pytest.mark.parametrize("size", [1, 2, 50])
def test_calls_hold_as_many_items_as_the_run_says(actions: ActionsHarness, size: int) -> None:
    rows = actions.conversions("PENDING")[:5]
    items = [{"conversion_id": row.id, "status": "APPROVED"} for row in rows]
    assert actions.send("conversion_status_change", items, batch_size=size) == ["done"] * 5
    assert actions.writes() == {"rest:/conversion/status_change": -(-5 // size)}


def test_calls_never_hold_more_than_50(actions: ActionsHarness) -> None:
    offer = next(iter(actions.sandbox.account.offers))
    rate = {"commission_type": "FLAT_RATE", "commission_amount": "1", "offer_id": offer}
    items = [rate | {"sku": f"S{number}"} for number in range(120)]
    assert actions.send("new_sku_commission", items, batch_size=1_000) == ["done"] * 120
    assert actions.writes() == {"rest:/offer/new_sku_commission": 3}

"""Everything is checked before the first call: all errors are reported together, by row, and nothing is sent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.actions.execution.executor import preview
from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.planning.input_errors import InputErrors
from refersion_dagster.actions.planning.input_files import from_file
from refersion_dagster.actions.planning.preflight import AmountLimits
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of, csv_file

COLUMNS = ("affiliate_id", "commission", "currency", "status", "notes", "key")
# Errors in a row, and their messages.
WRONG = (
    ({"affiliate_id": ""}, "affiliate_id is missing"),
    ({"affiliate_id": "a3y7"}, "affiliate_id ('a3y7') has to be a whole number above 0"),
    ({"affiliate_id": "99"}, "affiliate_id 99: no such affiliate in the warehouse"),
    ({"commission": "1,234.50"}, "commission ('1,234.50') has to be an amount"),
    ({"commission": "12.505"}, "commission ('12.505') has more than two decimal places"),
    ({"commission": "0"}, "commission ('0') must not be 0"),
    ({"currency": "US"}, "currency ('US') has to be three letters"),
    ({"currency": "JPY"}, "currency JPY is not a currency of the account (EUR, GBP, USD)"),
    ({"status": "DENIED"}, "status ('DENIED') has to be APPROVED or PENDING"),
    ({"key": "mine"}, "key 'mine' is already used by row"),
    ({"notes": "the same"}, "is the same as row"),
)


def errors(actions: ActionsHarness, endpoint: str, items: list[dict[str, Any]], **changes: Any) -> list[str]:
    with pytest.raises(InputErrors) as found:
        actions.plan(actions.order(endpoint, items, **changes))
    return [str(one) for one in found.value.found]


class TestAFileOfAThousandRows:
    def rows(self, actions: ActionsHarness) -> tuple[list[dict[str, Any]], dict[int, str]]:
        """A thousand rows, and the errors in 37 of them, by row."""
        rows = [
            credit_of(actions.affiliate(number % 12), commission=f"{number % 90 + 1}.00", notes=f"Bonus {number}")
            for number in range(1_000)
        ]
        rows[0]["key"] = "mine"
        rows[1] |= {"notes": "the same", "commission": "1.00", "affiliate_id": actions.affiliate().id}
        wrong = {}
        for at in range(37):
            change, said = WRONG[at % len(WRONG)]
            number = 20 + at * 26
            rows[number] |= change
            if "same" in said:
                rows[number] |= {"commission": "1.00", "affiliate_id": actions.affiliate().id}
            wrong[number + 2] = said
        return rows, wrong

    def test_with_37_mistakes_lists_the_37_and_sends_nothing(self, actions: ActionsHarness, tmp_path: Path) -> None:
        rows, wrong = self.rows(actions)
        lines = [",".join(f'"{row.get(name, "")}"' for name in COLUMNS) for row in rows]
        file = csv_file(tmp_path / "credits.csv", ",".join(COLUMNS), *lines)
        ended = actions.launch(CREDIT, file=file, max_items=1_000, max_commission="1000000")
        assert not ended.success
        title, *listed = ended.failure.strip().splitlines()
        assert title.endswith("37 errors; nothing was sent:")
        assert len(listed) == 37
        for line, (number, said) in zip(listed, wrong.items(), strict=True):
            assert line.startswith(f"- row {number}: {said}"), line
        assert actions.sandbox.requests() == {}
        assert actions.journal() == []

    def test_without_mistakes_is_planned_in_a_moment(self, actions: ActionsHarness, tmp_path: Path) -> None:
        rows = [
            credit_of(actions.affiliate(number % 12), commission="1.00", notes=f"{number}") for number in range(1_000)
        ]
        lines = [",".join(str(row.get(name, "")) for name in COLUMNS) for row in rows]
        file = csv_file(tmp_path / "credits.csv", ",".join(COLUMNS), *lines)
        plan = actions.plan(actions.order(CREDIT, [], rows=from_file(Path(file), ENDPOINTS[CREDIT])))
        assert (plan.to_send, len(plan.calls), plan.stakes) == (1_000, 1_000, {"USD": Decimal(1_000)})


class TestLimits:
    def test_on_items_and_on_commission_are_raised_on_purpose(self, actions: ActionsHarness) -> None:
        credits = [credit_of(actions.affiliate(number % 12), "9.00", notes=f"{number}") for number in range(101)]
        credits += [credit_of(actions.affiliate(), "-95.50", currency="EUR")]
        ended = actions.launch(CREDIT, credits, max_commission="90")
        assert (
            "There are 102 items to send, and max_items is 100. Raise the limit if this is intended." in ended.failure
        )
        assert (
            "They move 909.00 USD of commission, and max_commission is 90.00. Raise the limit if this is intended."
        ) in ended.failure
        assert "They move 95.50 EUR of commission" in ended.failure
        assert actions.sandbox.requests() == {}

    def test_what_was_done_before_does_not_count(self, actions: ActionsHarness) -> None:
        credits = [credit_of(actions.affiliate(number)) for number in range(3)]
        limits = AmountLimits(2, Decimal("25.00"))
        assert actions.send(CREDIT, credits[:2], limits=limits) == ["done", "done"]
        assert actions.send(CREDIT, credits, limits=limits) == ["done"]

    def test_approvals_move_the_commission_of_their_conversions(self, actions: ActionsHarness) -> None:
        rows = [row for row in actions.conversions("PENDING") if row.currency == "USD"][:3]
        total = sum((abs(row.commission_total) for row in rows), Decimal(0))
        changes = [{"conversion_id": row.id, "status": "APPROVED"} for row in rows]
        limits = AmountLimits(50, total - Decimal("0.01"))
        (said,) = errors(actions, "conversion_status_change", changes, limits=limits)
        assert said.startswith(f"They move {total:,.2f} USD")
        order = actions.order("conversion_status_change", changes, limits=AmountLimits(50, total))
        assert actions.plan(order).stakes == {"USD": total}

    def test_a_cancellation_moves_the_commission_of_its_order(self, actions: ActionsHarness) -> None:
        row = next(row for row in actions.conversions("APPROVED") if row.order_id and row.commission_total > 5)
        of_order = [one for one in actions.sandbox.account.by_order[row.order_id] if one.commission_total > 0]
        (said,) = errors(
            actions,
            "conversion_cancel",
            [{"order_id": row.order_id, "skus": [{"sku": "A"}]}],
            limits=AmountLimits(50, Decimal(1)),
        )
        assert f"They move {sum(one.commission_total for one in of_order):,.2f} {row.currency}" in said

    def test_that_cannot_hold_are_told(self, actions: ActionsHarness, capsys: pytest.CaptureFixture[str]) -> None:
        changes = [{"conversion_id": 77, "status": "APPROVED"}]
        preview(actions.order("conversion_status_change", changes, check_warehouse=False), actions.warehouse, print)
        assert "The commission of 1 item is not in the warehouse, so max_commission does" in capsys.readouterr().out

    @pytest.mark.parametrize("given", ["much", "1,000", ""])
    def test_that_are_no_amount_are_told(self, actions: ActionsHarness, given: str) -> None:
        ended = actions.launch(CREDIT, [credit_of(actions.affiliate())], max_commission=given)
        assert "max_commission has to be an amount" in ended.failure


class TestTheWarehouse:
    def test_knows_affiliates_and_their_codes(self, actions: ActionsHarness) -> None:
        trigger = {"affiliate_code": "nobody", "type": "COUPON", "trigger": "NEW10"}
        assert errors(actions, "affiliate_trigger", [trigger]) == [
            "item 1: affiliate_code nobody: no such affiliate's code in the warehouse. Run a refresh, or set "
            "check_warehouse to false"
        ]
        for endpoint in ("affiliate_status_change", "trigger_delete", "affiliate_edit"):
            item = {"affiliate_id": 5, "status": "ACTIVE", "type": "SKU", "trigger": "A", "city": "Rome"}
            fields = ENDPOINTS[endpoint].item.model_fields
            (said,) = errors(actions, endpoint, [{name: item[name] for name in item if name in fields}])
            assert said.startswith("item 1: affiliate_id 5: no such affiliate in the warehouse")

    def test_knows_which_conversions_can_change(self, actions: ActionsHarness) -> None:
        approved, denied = actions.conversions("APPROVED")[0], actions.conversions("DENIED")[0]
        gone = actions.conversions("PENDING")[0]
        actions.warehouse.query(
            f"UPDATE refersion_data.conversions SET vanished_at = TIMESTAMPTZ '2025-06-30' WHERE id = '{gone.id}'"
        )
        changes = [{"conversion_id": id_, "status": "DENIED"} for id_ in (approved.id, denied.id, gone.id, 77)]
        assert errors(actions, "conversion_status_change", changes) == [
            f"item 1: conversion_id {approved.id} is APPROVED, and only pending conversions can be changed",
            f"item 2: conversion_id {denied.id} is DENIED, and only pending conversions can be changed",
            f"item 3: conversion_id {gone.id} is deleted in Refersion, and only pending conversions can be changed",
            "item 4: conversion_id 77: no such conversion in the warehouse. Run a refresh, or set "
            "check_warehouse to false",
        ]

    def test_knows_orders_and_offers(self, actions: ActionsHarness) -> None:
        credit = {"affiliate_id": actions.affiliate().id, "order_id": "none", "status": "PENDING"}
        assert "order_id none: no such order" in errors(actions, "conversion_manual_credit_order_id", [credit])[0]
        rate = {"offer_id": 5, "sku": "A", "commission_type": "FLAT_RATE", "commission_amount": "1"}
        assert "offer_id 5: no such offer" in errors(actions, "new_sku_commission", [rate])[0]

    def test_knows_whose_e_mail_it_is(self, actions: ActionsHarness) -> None:
        one, other = actions.affiliate(0), actions.affiliate(1)
        new = {"first_name": "A", "last_name": "B", "email": other.email.upper(), "status": "ACTIVE"}
        assert f"already belongs to affiliate {other.id}" in errors(actions, "affiliate_new", [new])[0]
        edit = {"affiliate_id": one.id, "email": other.email}
        assert f"already belongs to affiliate {other.id}" in errors(actions, "affiliate_edit", [edit])[0]
        assert actions.plan(actions.order("affiliate_edit", [edit | {"email": one.email}])).to_send == 1

    def test_is_not_asked_where_the_run_says_so(self, actions: ActionsHarness) -> None:
        order = actions.order(CREDIT, [credit_of(actions.affiliate(), affiliate_id=5)], check_warehouse=False)
        assert actions.plan(order).to_send == 1

    def test_that_has_not_what_is_needed_says_what_to_load(self, actions: ActionsHarness, tmp_path: Path) -> None:
        empty = ActionsHarness(actions.sandbox, tmp_path / "empty.duckdb")
        assert errors(empty, CREDIT, [credit_of(actions.affiliate())]) == [
            "affiliate_id cannot be checked because refersion/affiliate_get was never loaded. Materialise it, or "
            "set check_warehouse to false.",
            "currency cannot be checked because refersion/conversions was never loaded. Materialise it, or set "
            "check_warehouse to false.",
        ]

    def test_a_credit_that_refersion_has_already_is_not_sent_by_another_journal(
        self, actions: ActionsHarness, tmp_path: Path
    ) -> None:
        """The journal may be lost with its warehouse; the reference in the notes identifies the credit."""
        credit = [credit_of(actions.affiliate())]
        assert actions.send(CREDIT, credit) == ["done"]
        made = max(actions.sandbox.account.conversions.values(), key=lambda row: row.id)
        # A refresh in another warehouse.
        actions.warehouse.query("DROP TABLE refersion_data.action_journal")
        actions.warehouse.query(
            f"UPDATE refersion_data.conversions SET id = '{made.id}', notes = '{made.notes}' "
            "WHERE id = (SELECT max(id) FROM refersion_data.conversions)"
        )
        (said,) = errors(actions, CREDIT, credit)
        assert said.startswith(f"item 1: was already sent: conversion {made.id} has its reference [ref ")


class TestRepetitions:
    def test_of_a_credit_are_taken_for_a_mistake(self, actions: ActionsHarness) -> None:
        credit = credit_of(actions.affiliate())
        assert errors(actions, CREDIT, [credit, credit]) == [
            "item 2: is the same as item 1. If this is intended, set a key for each, or set `repeats: true`."
        ]

    def test_that_are_meant_are_sent_each_and_once(self, actions: ActionsHarness) -> None:
        credit = credit_of(actions.affiliate())
        assert actions.send(CREDIT, [credit, credit, credit], repeats=True) == ["done"] * 3
        assert actions.send(CREDIT, [credit, credit, credit], repeats=True) == []
        assert len(actions.credits()) == 3

    def test_with_keys_of_their_own_are_meant(self, actions: ActionsHarness) -> None:
        credit = credit_of(actions.affiliate())
        items = [credit | {"key": "july"}, credit | {"key": "august"}]
        assert actions.send(CREDIT, items) == ["done", "done"]

    @pytest.mark.parametrize(
        ("endpoint", "first", "second"),
        [
            ("affiliate_status_change", {"status": "ACTIVE"}, {"status": "DENIED"}),
            ("affiliate_edit", {"city": "Rome"}, {"city": "Paris"}),
        ],
    )
    def test_about_one_affiliate_contradict_each_other(
        self, actions: ActionsHarness, endpoint: str, first: dict[str, str], second: dict[str, str]
    ) -> None:
        number = actions.affiliate().id
        items = [{"affiliate_id": number} | first, {"affiliate_id": number} | second]
        assert errors(actions, endpoint, items) == [
            f"item 2: affiliate_id {number} is in item 1 already; a run may contain it only once"
        ]

    def test_capitals_make_no_other_trigger(self, actions: ActionsHarness) -> None:
        code = actions.affiliate().code
        items = [{"affiliate_code": code, "type": "COUPON", "trigger": text} for text in ("ten", "TEN")]
        assert "type coupon, trigger ten is in item 1 already" in errors(actions, "affiliate_trigger", items)[0]


class TestKeys:
    def test_stand_for_one_item_for_ever(self, actions: ActionsHarness) -> None:
        actions.send(CREDIT, [credit_of(actions.affiliate(), key="k")])
        (said,) = errors(actions, CREDIT, [credit_of(actions.affiliate(), "99.00", key="k")])
        assert said.startswith("item 1: key 'k' belongs to another item since ")
        assert "'commission': '12.50'" in said

    def test_make_the_same_item_another_for_another_purpose(self, actions: ActionsHarness) -> None:
        credit = [credit_of(actions.affiliate())]
        sent = [actions.send(CREDIT, credit, purpose=purpose) for purpose in ("july", "august", "july")]
        assert sent == [["done"], ["done"], []]

    def test_that_are_the_users_own_hold_whatever_the_purpose(self, actions: ActionsHarness) -> None:
        credit = [credit_of(actions.affiliate(), key="k")]
        assert [actions.send(CREDIT, credit, purpose=purpose) for purpose in ("one", "other")] == [["done"], []]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "There is nothing to send: set items, or a file"),
        ({"items": True, "file": "credits.csv"}, "Both items and a file are set; use only one of them."),
        ({"items": True, "requested_by": " "}, "requested_by is empty"),
        ({"file": "none.csv"}, " does not exist."),
    ],
)
def test_a_configuration_that_makes_no_sense_is_told(actions: ActionsHarness, config: dict[str, Any], why: str) -> None:
    items = [credit_of(actions.affiliate())] if config.pop("items", None) else None
    ended = actions.launch(CREDIT, items, **config)
    assert not ended.success
    assert why in ended.failure
    assert actions.sandbox.requests() == {}

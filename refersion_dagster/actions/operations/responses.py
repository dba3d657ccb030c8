"""Reads the outcome of each item from the 200 response of each write operation.

Refersion reports partial failure in a 200 response. An item without an outcome in the response is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.operations.outcomes import Outcome, Result

NUMERIC_ID = re.compile(r"\baffiliate (\d+)\b", re.IGNORECASE)
NOT_TOLD = Result(Outcome.UNKNOWN, "Refersion responded with 200, but without an outcome for this item.")


def affiliate_new(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    """The response's `id` is the affiliate code. The numeric id is only in the text of `message`."""
    values = _texts(answer, {"id": "affiliate_code", "link": "link"})
    if "affiliate_code" not in values:
        return [NOT_TOLD] * len(items)
    message = str(answer.get("message") or "") or None
    if number := NUMERIC_ID.search(message or ""):
        values["affiliate_id"] = number[1]
    return [Result(Outcome.DONE, message, values)] * len(items)


def affiliate_status_change(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    return _by_id(items, answer, lambda one: one.item.content()["affiliate_id"])


def affiliate_edit(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    return _by_id(items, answer, lambda one: one.item.content()["affiliate_id"])


def affiliate_trigger(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    values = _texts(answer, {"trigger_id": "trigger_id", "trigger": "trigger_made"})
    return [Result(Outcome.DONE, None, values) if "trigger_id" in values else NOT_TOLD] * len(items)


def trigger_delete(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    """The response lists only the ids of deleted triggers. Each call has one trigger, so its id is unambiguous."""
    if not isinstance(answer, list) or len(answer) > 1 or len(items) > 1:
        return [NOT_TOLD] * len(items)
    if not answer:
        return [Result(Outcome.NOT_CHANGED, "The affiliate has no such trigger.")]
    return [Result(Outcome.DONE, None, {"trigger_id": str(answer[0])})]


def conversion_manual_credit(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    values = _texts(answer, {"conversion_id": "conversion_id"})
    return [Result(Outcome.DONE, None, values) if values else NOT_TOLD] * len(items)


def conversion_manual_credit_order_id(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    """The conversion appears minutes later; until then it has no id."""
    values = _texts(answer, {"warning": "warning"})
    if not isinstance(answer, dict) or not (answer.get("message") or values):
        return [NOT_TOLD] * len(items)
    return [Result(Outcome.DONE, str(answer.get("message") or "") or None, values)] * len(items)


def conversion_status_change(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    return _by_id(items, answer, lambda one: one.item.content()["conversion_id"])


def conversion_cancel(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    values = _texts(answer, {"conversion_id": "conversion_id"})
    return [Result(Outcome.DONE, None, values) if values else NOT_TOLD] * len(items)


def new_sku_commission(items: Sequence[PlannedItem], answer: Any) -> list[Result]:
    return _sort_results(
        items,
        _list(answer, "added"),
        _list(answer, "duplicate_not_added"),
        lambda one: one.item.content()["sku"],
        "The offer already has a rate for this product.",
    )


def _by_id(items: Sequence[PlannedItem], answer: Any, id_of: Callable[[PlannedItem], Any]) -> list[Result]:
    return _sort_results(
        items, _list(answer, "ids_changed"), _list(answer, "ids_not_changed"), id_of, "Refersion did not change it."
    )


def _sort_results(
    items: Sequence[PlannedItem], yes: set[str], no: set[str], name_of: Callable[[PlannedItem], Any], why_not: str
) -> list[Result]:
    results = []
    for one in items:
        name = str(name_of(one))
        if (name in yes) == (name in no):
            results.append(NOT_TOLD)
        else:
            results.append(Result(Outcome.DONE) if name in yes else Result(Outcome.NOT_CHANGED, why_not))
    return results


def _list(answer: Any, name: str) -> set[str]:
    """Returns the ids of a list as strings; Refersion sends numbers or strings."""
    found = answer.get(name) if isinstance(answer, dict) else None
    return set(map(str, found)) if isinstance(found, list) else set()


def _texts(answer: Any, names: dict[str, str]) -> dict[str, str]:
    """Returns the values that the response has, as strings, under our names."""
    if not isinstance(answer, dict):
        return {}
    return {ours: str(answer[name]) for name, ours in names.items() if answer.get(name) not in (None, "", [], {})}

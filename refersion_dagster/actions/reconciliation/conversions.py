"""Looks for evidence of an open item in Refersion's conversions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from refersion_dagster.actions.operations.item_key import reference
from refersion_dagster.actions.reconciliation.evidence import BEFORE, Evidence, Inquiry, Verdict
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.extract.entity_reader import EntityReader
from refersion_dagster.refersion.extract.stats import TableReport
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder
from refersion_dagster.refersion.tables.catalog import CONVERSION_STATUSES, CONVERSIONS
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy
from refersion_dagster.refersion.windows import Window, whole_second

# The effect of a lost call appears within this time.
AFTER = timedelta(days=1)
# "Changes may take a couple of minutes to appear" (documented).
MAY_STILL_APPEAR = timedelta(minutes=10)

SHOWN = ("id", "created", "status", "type", "order_id", "commission_total", "currency", "notes")


def credit(inquiry: Inquiry) -> Evidence:
    """Looks up a manual credit by the reference in its notes, else by affiliate, amount and currency."""
    request = inquiry.request
    if not inquiry.account.credentials.has_graphql:
        return _credit_by_totals(inquiry)
    rows = _find_created_since(inquiry)
    if sure := _with_reference(inquiry, rows):
        return sure
    alike = [
        row
        for row in rows
        if _affiliate(row) == str(request["affiliate_id"])
        and row["commission_total"] == Decimal(request["commission"])
        and row["currency"] == request["currency"]
        and "MANUAL_CREDIT" in (row["type"] or "MANUAL_CREDIT")
        and row["id"] not in inquiry.accounted_for
        and "[ref " not in (row["notes"] or "")
    ]
    of = f"a credit of {request['commission']} {request['currency']} to affiliate {request['affiliate_id']}"
    return _weigh_candidates(inquiry, alike, of)


def _credit_by_totals(inquiry: Inquiry) -> Evidence:
    """Compares sums, because individual conversions cannot be read without a GraphQL token."""
    request = inquiry.request
    answer = inquiry.account.rest.call(
        "/conversion/totals",
        {
            "status": list(CONVERSION_STATUSES),
            "type": ["MANUAL_CREDIT_BY_CLIENT"],
            "affiliate_id": request["affiliate_id"],
            "created_from": f"{inquiry.since:%Y-%m-%d %H:%M:%S}",
        },
    )
    known = [
        entry
        for entry in inquiry.others
        if entry.endpoint == inquiry.entry.endpoint
        and entry.request.get("affiliate_id") == request["affiliate_id"]
        and "conversion_id" in entry.found
        and (entry.refersion_time or entry.intended_at) >= inquiry.since
    ]
    return Evidence(
        Verdict.CANNOT_TELL,
        f"Since {_time(inquiry.since)} Refersion counts {_figure(answer, 'conversions_count')} manual credits to "
        f"affiliate {request['affiliate_id']}, {_figure(answer, 'commission_total')} {answer.get('currency')} in "
        f"total (other currencies may be excluded); this journal has {len(known)} of them. Set "
        "REFERSION_GRAPHQL_TOKEN to list them individually.",
    )


def _figure(answer: Mapping[str, Any], name: str) -> str:
    """Formats a total without the stray commas that Refersion's responses have (observed)."""
    return str(answer.get(name)).strip(", ")


def order_credit(inquiry: Inquiry) -> Evidence:
    """Looks up a manual credit for an order by the reference in its notes, else by order and affiliate."""
    request = inquiry.request
    rows = _find_created_since(inquiry)
    if sure := _with_reference(inquiry, rows):
        return sure
    alike = [
        row
        for row in rows
        if row["order_id"] == request["order_id"]
        and _affiliate(row) == str(request["affiliate_id"])
        and row["id"] not in inquiry.accounted_for
    ]
    return _weigh_candidates(
        inquiry, alike, f"a conversion of order {request['order_id']} for affiliate {request['affiliate_id']}"
    )


def cancellation(inquiry: Inquiry) -> Evidence:
    """Looks up a cancellation by its order. A cancellation by the shop looks the same, so this is never certain."""
    request = inquiry.request
    alike = [
        row
        for row in _find_created_since(inquiry)
        if row["order_id"] == request["order_id"]
        and (row["total"] < 0 or (row["type"] or "").startswith("CANCELLATION_"))
        and row["id"] not in inquiry.accounted_for
    ]
    return _weigh_candidates(inquiry, alike, f"a cancellation of order {request['order_id']}")


def conversion_status(inquiry: Inquiry) -> Evidence:
    """Compares the requested status with the conversion's current status."""
    number, wanted = str(inquiry.request["conversion_id"]), inquiry.request["status"]
    made = inquiry.created(number)
    if made is None:
        return Evidence(
            Verdict.CANNOT_TELL,
            f"Conversion {number} is not in the warehouse, and Refersion returns conversions only by time. Run a "
            "refresh, then check again.",
        )
    second = whole_second(made)
    rows = [row for row in _read(inquiry.account, Window(second, second + timedelta(seconds=1))) if row["id"] == number]
    if not rows:
        return Evidence(Verdict.CANNOT_TELL, f"Conversion {number} was deleted in Refersion.")
    status = rows[0]["status"]
    verdict = Verdict.DONE if status == wanted else Verdict.NOT_FOUND
    return Evidence(verdict, f"Conversion {number} is {status}; requested was {wanted}.", _format_rows(rows))


def _find_created_since(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Returns the conversions created within a day after the item was about to be sent."""
    start = whole_second(inquiry.since)
    return _read(inquiry.account, Window(start, start + BEFORE + AFTER))


def _read(account: RefersionClient, window: Window) -> list[dict[str, Any]]:
    """Reads the conversions of a window directly from Refersion, without customers' personal data."""
    client = account.graphql
    selection = client.select(CONVERSIONS)
    privacy = Privacy(PersonalData.DROP, "")
    builder = ArrowTableBuilder(CONVERSIONS, read_at=datetime.now(UTC), privacy=privacy, extras=selection.extras)
    batches = EntityReader(client, selection, builder, TableReport()).read([window])
    return [row for batch in batches for table in batch.tables for row in table.to_pylist()]


def _affiliate(row: Mapping[str, Any]) -> str | None:
    return row["affiliate_id"] or row["affiliate__id"]


def _with_reference(inquiry: Inquiry, rows: Iterable[Mapping[str, Any]]) -> Evidence | None:
    wanted = reference(inquiry.entry.endpoint, inquiry.entry.key)
    found = [row for row in rows if wanted in (row["notes"] or "")]
    if not found:
        return None
    return Evidence(
        Verdict.DONE,
        f"Found in Refersion: the notes of conversion {found[0]['id']} contain its reference {wanted}.",
        _format_rows(found),
        {"conversion_id": found[0]["id"]},
    )


def _weigh_candidates(inquiry: Inquiry, alike: list[dict[str, Any]], what: str) -> Evidence:
    since = f"since {_time(inquiry.since)}"
    if alike:
        count = "one" if len(alike) == 1 else f"{len(alike)} of them"
        found = {"conversion_id": alike[0]["id"]} if len(alike) == 1 else {}
        words = (
            f"Looked for {what} {since} that does not belong to another item: there is {count}, without a reference."
        )
        return Evidence(Verdict.LIKELY, words, _format_rows(alike), found)
    words = f"Looked for {what} {since}: there is none."
    if datetime.now(UTC) - inquiry.entry.intended_at < MAY_STILL_APPEAR:
        words += " It may take some minutes to appear; check again later."
    return Evidence(Verdict.NOT_FOUND, words)


def _format_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{name: "" if row.get(name) is None else str(row[name]) for name in SHOWN} for row in rows]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

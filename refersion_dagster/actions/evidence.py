"""What Refersion's own data says now about an item whose answer was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from refersion_dagster.actions.asked import reference
from refersion_dagster.actions.journal import Entry
from refersion_dagster.refersion.account import Account
from refersion_dagster.refersion.entities import CONVERSION_STATUSES, CONVERSIONS
from refersion_dagster.refersion.errors import RequestRefused
from refersion_dagster.refersion.privacy import PersonalData, Privacy
from refersion_dagster.refersion.reading import EntityReader
from refersion_dagster.refersion.report import TableReport
from refersion_dagster.refersion.tables import TableBuilder
from refersion_dagster.refersion.windows import Window, whole_second

# Refersion's clock is known to the second, and ours may have drifted since.
BEFORE = timedelta(minutes=10)
# What a lost call did, it did within this time.
AFTER = timedelta(days=1)
# "Changes may take a couple of minutes to appear" (documented).
MAY_STILL_APPEAR = timedelta(minutes=10)

SHOWN = ("id", "created", "status", "type", "order_id", "commission_total", "currency", "notes")


class Verdict(StrEnum):
    """How sure it is."""

    DONE = "it was done"
    LIKELY = "it looks done"
    NOT_FOUND = "nothing shows that it was done"
    CANNOT_TELL = "it cannot be told"


@dataclass(frozen=True)
class Evidence:
    """What Refersion says.

    Args:
        words: what was looked for and found.
        rows: rows of Refersion's that may be what the item made.
        found: what is recorded where the item counts as done, by column of the result table.
    """

    verdict: Verdict
    words: str
    rows: list[dict[str, str]] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inquiry:
    """One item to be looked for.

    Args:
        others: every other entry of the journal, whose conversions are accounted for.
        created: when a conversion was made, for an id, as the warehouse has it; None where it has none.
    """

    entry: Entry
    account: Account
    others: tuple[Entry, ...]
    created: Callable[[str], datetime | None]

    @property
    def asked(self) -> Mapping[str, Any]:
        return self.entry.request

    @property
    def since(self) -> datetime:
        return (self.entry.refersion_time or self.entry.intended_at) - BEFORE

    @property
    def accounted_for(self) -> set[str]:
        return {entry.found["conversion_id"] for entry in self.others if "conversion_id" in entry.found}


def look(inquiry: Inquiry) -> Evidence:
    """Asks Refersion. Raises RefersionError where it cannot be asked."""
    return LOOKS[inquiry.entry.endpoint](inquiry)


def _credit(inquiry: Inquiry) -> Evidence:
    asked = inquiry.asked
    if not inquiry.account.credentials.has_graphql:
        return _credit_by_totals(inquiry)
    rows = _made_since(inquiry)
    if sure := _with_reference(inquiry, rows):
        return sure
    alike = [
        row
        for row in rows
        if _affiliate(row) == str(asked["affiliate_id"])
        and row["commission_total"] == Decimal(asked["commission"])
        and row["currency"] == asked["currency"]
        and "MANUAL_CREDIT" in (row["type"] or "MANUAL_CREDIT")
        and row["id"] not in inquiry.accounted_for
        and "[ref " not in (row["notes"] or "")
    ]
    of = f"a credit of {asked['commission']} {asked['currency']} to affiliate {asked['affiliate_id']}"
    return _likely(inquiry, alike, of)


def _credit_by_totals(inquiry: Inquiry) -> Evidence:
    """Without a GraphQL token there are sums alone."""
    asked = inquiry.asked
    answer = inquiry.account.rest.call(
        "/conversion/totals",
        {
            "status": list(CONVERSION_STATUSES),
            "type": ["MANUAL_CREDIT_BY_CLIENT"],
            "affiliate_id": asked["affiliate_id"],
            "created_from": f"{inquiry.since:%Y-%m-%d %H:%M:%S}",
        },
    )
    known = [
        entry
        for entry in inquiry.others
        if entry.endpoint == inquiry.entry.endpoint
        and entry.request.get("affiliate_id") == asked["affiliate_id"]
        and "conversion_id" in entry.found
        and (entry.refersion_time or entry.intended_at) >= inquiry.since
    ]
    return Evidence(
        Verdict.CANNOT_TELL,
        f"Since {_time(inquiry.since)} Refersion counts {answer.get('conversions_count')} manual credits to affiliate "
        f"{asked['affiliate_id']}, {answer.get('commission_total')} {answer.get('currency')} in all (other currencies "
        f"may be left out); this journal knows of {len(known)} of them. With REFERSION_GRAPHQL_TOKEN they are shown "
        "one by one.",
    )


def _order_credit(inquiry: Inquiry) -> Evidence:
    asked = inquiry.asked
    rows = _made_since(inquiry)
    if sure := _with_reference(inquiry, rows):
        return sure
    alike = [
        row
        for row in rows
        if row["order_id"] == asked["order_id"]
        and _affiliate(row) == str(asked["affiliate_id"])
        and row["id"] not in inquiry.accounted_for
    ]
    return _likely(inquiry, alike, f"a conversion of order {asked['order_id']} for affiliate {asked['affiliate_id']}")


def _cancellation(inquiry: Inquiry) -> Evidence:
    asked = inquiry.asked
    alike = [
        row
        for row in _made_since(inquiry)
        if row["order_id"] == asked["order_id"]
        and (row["total"] < 0 or (row["type"] or "").startswith("CANCELLATION_"))
        and row["id"] not in inquiry.accounted_for
    ]
    return _likely(inquiry, alike, f"a cancellation of order {asked['order_id']}")


def _conversion_status(inquiry: Inquiry) -> Evidence:
    number, wanted = str(inquiry.asked["conversion_id"]), inquiry.asked["status"]
    made = inquiry.created(number)
    if made is None:
        return Evidence(
            Verdict.CANNOT_TELL,
            f"Conversion {number} is not in the warehouse, and Refersion gives conversions by time alone; refresh, "
            "then look again.",
        )
    second = whole_second(made)
    rows = [row for row in _read(inquiry.account, Window(second, second + timedelta(seconds=1))) if row["id"] == number]
    if not rows:
        return Evidence(Verdict.CANNOT_TELL, f"Conversion {number} is gone from Refersion.")
    status = rows[0]["status"]
    verdict = Verdict.DONE if status == wanted else Verdict.NOT_FOUND
    return Evidence(verdict, f"Conversion {number} is {status}; asked for was {wanted}.", _shown(rows))


def _new_affiliate(inquiry: Inquiry) -> Evidence:
    email = inquiry.asked["email"]
    try:
        answer = inquiry.account.rest.call("/affiliate/search", {"keyword": email})
    except RequestRefused as refusal:
        if "could not find" not in (refusal.said or "").lower():
            raise
        answer = {"results": []}
    found = [row for row in answer["results"] if str(row.get("email", "")).casefold() == email.casefold()]
    if not found:
        return Evidence(Verdict.NOT_FOUND, f"No affiliate has the e-mail {email}.")
    rows = [{name: str(row.get(name)) for name in ("id", "status", "first_name", "last_name")} for row in found]
    return Evidence(
        Verdict.DONE, f"There is an affiliate with the e-mail {email}.", rows, {"affiliate_code": str(found[0]["id"])}
    )


def _affiliate_status(inquiry: Inquiry) -> Evidence:
    number, wanted = inquiry.asked["affiliate_id"], inquiry.asked["status"]
    status = inquiry.account.rest.call("/affiliate/get", {"id": number}).get("status")
    verdict = Verdict.DONE if status == wanted else Verdict.NOT_FOUND
    return Evidence(verdict, f"Affiliate {number} is {status}; asked for was {wanted}.")


def _affiliate_details(inquiry: Inquiry) -> Evidence:
    """Not every detail that can be set can be read."""
    asked = inquiry.asked
    details = inquiry.account.rest.call("/affiliate/get", {"id": asked["affiliate_id"]})
    readable = {"company": "company_name", "offer_id": "offer_id"} | {
        name: name for name in ("first_name", "last_name", "email")
    }
    wanted = {name: str(value) for name, value in asked.items() if name in readable}
    if not wanted:
        return Evidence(
            Verdict.CANNOT_TELL, f"Refersion's API shows none of what was to be set; look at affiliate "
            f"{asked['affiliate_id']} in Refersion."
        )  # fmt: skip
    other = {name: value for name, value in wanted.items() if str(details.get(readable[name])) != value}
    if other:
        now = ", ".join(f"{name} is {details.get(readable[name])!r}, not {value!r}" for name, value in other.items())
        return Evidence(Verdict.NOT_FOUND, f"Of affiliate {asked['affiliate_id']}, {now}.")
    return Evidence(Verdict.LIKELY, f"Affiliate {asked['affiliate_id']} has what was asked for: {', '.join(wanted)}.")


def _cannot_be_asked(inquiry: Inquiry) -> Evidence:
    return Evidence(
        Verdict.CANNOT_TELL,
        "Refersion's API shows neither triggers nor rates of articles; look at the affiliate or the offer in "
        "Refersion.",
    )


LOOKS: dict[str, Callable[[Inquiry], Evidence]] = {
    "affiliate_new": _new_affiliate,
    "affiliate_status_change": _affiliate_status,
    "affiliate_edit": _affiliate_details,
    "affiliate_trigger": _cannot_be_asked,
    "trigger_delete": _cannot_be_asked,
    "conversion_manual_credit": _credit,
    "conversion_manual_credit_order_id": _order_credit,
    "conversion_status_change": _conversion_status,
    "conversion_cancel": _cancellation,
    "new_sku_commission": _cannot_be_asked,
}


def _made_since(inquiry: Inquiry) -> list[dict[str, Any]]:
    """Conversions made since the item was about to be sent, within a day."""
    start = whole_second(inquiry.since)
    return _read(inquiry.account, Window(start, start + BEFORE + AFTER))


def _read(account: Account, window: Window) -> list[dict[str, Any]]:
    """Conversions of a window, straight from Refersion, without customers' personal values."""
    client = account.graphql
    selection = client.select(CONVERSIONS)
    privacy = Privacy(PersonalData.DROP, "")
    builder = TableBuilder(CONVERSIONS, read_at=datetime.now(UTC), privacy=privacy, extras=selection.extras)
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
        f"Refersion has it: the notes of conversion {found[0]['id']} hold its reference {wanted}.",
        _shown(found),
        {"conversion_id": found[0]["id"]},
    )


def _likely(inquiry: Inquiry, alike: list[dict[str, Any]], what: str) -> Evidence:
    since = f"since {_time(inquiry.since)}"
    if alike:
        count = "one" if len(alike) == 1 else f"{len(alike)} of them"
        found = {"conversion_id": alike[0]["id"]} if len(alike) == 1 else {}
        words = f"Looked for {what} {since} that no other item accounts for: there is {count}, without a reference."
        return Evidence(Verdict.LIKELY, words, _shown(alike), found)
    words = f"Looked for {what} {since}: there is none."
    if datetime.now(UTC) - inquiry.entry.intended_at < MAY_STILL_APPEAR:
        words += " It may take some minutes to appear; look again later."
    return Evidence(Verdict.NOT_FOUND, words)


def _shown(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{name: "" if row.get(name) is None else str(row[name]) for name in SHOWN} for row in rows]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"

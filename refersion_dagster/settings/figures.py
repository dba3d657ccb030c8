"""The merchant's settings for figures: reporting time zone, payout terms, costs and windows."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import SettingsConfigDict

from refersion_dagster.settings.part import SettingsPart, setting
from refersion_dagster.settings.values import refuse, time_zone, whole_number

CURRENCY = re.compile(r"[A-Z]{3}")
DATED = re.compile(r"(\d{4}-\d{2}-\d{2})\s*:(.*)")
BEGINNING, END = date.min.isoformat(), date.max.isoformat()
ID = re.compile(r"(conversion:)?[\w.-]+")
DIFFERENCE = re.compile(
    r"(\d{4}-\d{2} \S+ \S+ \S+) ([+-]?\d+) ([+-]?[\d.]+) ([+-]?[\d.]+) by (\S.*?) on (\d{4}-\d{2}-\d{2}): *(\S.*)"
)
ACCEPTED = (
    "differences separated by semicolons, each as in summaries/control_totals, followed by who accepted it, when and "
    "why: 2025-03 APPROVED UNPAID USD 1 12.50 125 by Ana Lee on 2025-04-02: Refersion does not count order 77"
)
LATER = "one value, followed by later ones with the date from which each applies (3; 2026-01-01: 2.5)"


def amount(value: str) -> Decimal:
    """Parses an amount of 0 or more."""
    try:
        found = Decimal(value.strip())
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0 or found != round(found, 4) or found >= 10**12:
        raise refuse(value, "a number of 0 or more with at most four decimal places, such as 49.90")
    return found


def plain_amount(value: str) -> str:
    return f"{amount(value):f}"


def by_currency(value: str) -> str:
    """Parses one amount, or `USD=50,EUR=45`, into `USD=50;EUR=45;*=0;`, which SQL parses with split_part."""
    amounts: dict[str, Decimal] = {"*": Decimal(0)}
    for part in value.split(","):
        currency, equals, number = (text.strip() for text in part.rpartition("="))
        if equals and not CURRENCY.fullmatch(currency):
            raise refuse(value, "an amount, or one for each currency such as USD=50,EUR=45")
        amounts[currency or "*"] = amount(number)
    return "".join(f"{currency}={number:f};" for currency, number in sorted(amounts.items(), reverse=True))


def by_date(read: Callable[[str], str]) -> Callable[[str], tuple[tuple[str, str], ...]]:
    """Returns a parser of `3; 2026-01-01: 2.5`: values with the day from which each applies.

    If the first value has a day, the value before that day is 0.

    Args:
        read: parses one value.
    """

    def read_all(value: str) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for part in value.split(";"):
            match = DATED.fullmatch(part.strip())
            day, text = match.groups() if match else (BEGINNING, part)
            try:
                date.fromisoformat(day)
            except ValueError:
                raise refuse(value, f"set with dates such as 2026-01-01, and {day} is not a date") from None
            if found and day <= found[-1][0]:
                raise refuse(value, LATER)
            found.append((day, read(text)))
        return tuple(found if found[0][0] == BEGINNING else [(BEGINNING, read("0")), *found])

    return read_all


def differences(value: str) -> str:
    """Parses differences into `;2025-03 APPROVED UNPAID USD 1 12.5000 125.0000=Ana Lee on 2025-04-02: why;`."""
    accepted: dict[str, str] = {}
    for part in filter(None, map(str.strip, value.split(";"))):
        match = DIFFERENCE.fullmatch(part)
        if match is None:
            raise refuse(part, ACCEPTED)
        cell, count, commission, total, person, day, reason = match.groups()
        try:
            date.fromisoformat(day)
            difference = f"{cell} {int(count)} {Decimal(commission) + 0:.4f} {Decimal(total) + 0:.4f}"
        except (ValueError, InvalidOperation):
            raise refuse(part, ACCEPTED) from None
        if difference in accepted:
            raise refuse(part, "listed once, but this difference is listed twice")
        accepted[difference] = f"{person} on {day}: {reason}"
    return "".join(f";{difference}={told}" for difference, told in accepted.items()) + ";"


def payment_ids(value: str) -> str:
    """Parses `900,conversion:5` into `;900;conversion:5;`, which SQL searches for an id."""
    found = [part.strip() for part in value.split(",") if part.strip()]
    if not all(ID.fullmatch(part) for part in found):
        raise refuse(value, "ids of payments separated by commas, or conversion:<id>, such as 900,conversion:123")
    return "".join(f";{part}" for part in found) + ";"


def periods(dated: tuple[tuple[str, str], ...]) -> str:
    """Formats dated values as `0001-01-01|2026-01-01|3#2026-01-01|9999-12-31|2.5#`, which SQL splits.

    Each part has the first day on which a value applies, the first day on which it no longer applies, and the value.
    """
    ends = [*(day for day, _ in dated[1:]), END]
    return "".join(f"{day}|{end}|{one}#" for (day, one), end in zip(dated, ends, strict=True))


ByCurrency = Annotated[str, BeforeValidator(by_currency)]
ByDate = tuple[tuple[str, str], ...]
Days = Annotated[int, BeforeValidator(whole_number(1, 3650, "days"))]


class FigureSettings(SettingsPart):
    """How figures are calculated. Values are in the form in which SQL takes them."""

    model_config = SettingsConfigDict(validate_default=True)

    report_timezone: Annotated[str, AfterValidator(time_zone)] = setting(
        "UTC", "IANA time zone of days and months in every summary, such as America/New_York."
    )
    minimum_payout: ByCurrency = setting(
        "0",
        "Commission below this is not paid out yet: one amount for all currencies (50) or one for each "
        "(USD=50,EUR=45).",
    )
    platform_fee_percent: Annotated[ByDate, BeforeValidator(by_date(plain_amount))] = setting(
        "0",
        "Refersion's fee in percent of affiliate-driven sales, such as 3 or 2.5. If it changed, add each later fee "
        "with the date from which it applies: 3; 2026-01-01: 2.5.",
    )
    subscription: Annotated[ByDate, BeforeValidator(by_date(by_currency))] = setting(
        "0",
        "Refersion's subscription per month: one amount, or by currency (USD=299). If it changed, add each later "
        "amount with its date; it applies to months that begin on or after that date: 199; 2026-01-01: 299.",
    )
    control_tolerance: Annotated[Decimal, BeforeValidator(amount)] = setting(
        "0",
        "How much count, commission and order total of each month, status and payment status may differ from "
        "Refersion's own totals.",
    )
    accepted_differences: Annotated[str, BeforeValidator(differences)] = setting(
        "",
        "Individual differences from Refersion's own totals that somebody has explained, separated by semicolons: "
        "each as in summaries/control_totals, followed by who accepted it, when and why (2025-03 APPROVED UNPAID USD "
        "1 12.50 125 by Ana Lee on 2025-04-02: Refersion does not count order 77). If a difference changes, it has to "
        "be accepted again.",
        more="If it disappears, the check `accepted_differences_needed` names it.",
    )
    lapsed_days: Days = setting("60", "An affiliate without an order for this many days has lapsed.")
    rising_days: Days = setting("28", "Sales of this many days are compared with the same number of days before.")
    auto_approval_days: Days = setting(
        "90", "Refersion approves pending conversions automatically after this many days."
    )
    credibility_orders: Annotated[int, BeforeValidator(whole_number(1, 100_000, "orders"))] = setting(
        "20",
        "Number of decided orders at which an affiliate's own approval rate weighs as much as the programme's; with "
        "more orders it weighs more.",
    )
    pay_again: Annotated[str, BeforeValidator(payment_ids)] = setting(
        "",
        "Payments that were taken back and whose conversions may be paid again, by their ids (900,901); a single "
        "conversion as conversion:123. See summaries/payments_taken_back.",
    )

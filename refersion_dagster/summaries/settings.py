"""What the merchant decides about figures: the reporting time zone, payout terms, costs and windows."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import dagster as dg
from pydantic import Field

from refersion_dagster.settings import InvalidSetting
from refersion_dagster.warehouse.sql import Value

SETTINGS_VARIABLES = {
    "report_timezone": "REFERSION_REPORT_TIMEZONE",
    "minimum_payout": "REFERSION_MINIMUM_PAYOUT",
    "platform_fee_percent": "REFERSION_PLATFORM_FEE_PERCENT",
    "subscription": "REFERSION_SUBSCRIPTION",
    "control_tolerance": "REFERSION_CONTROL_TOLERANCE",
    "accepted_differences": "REFERSION_ACCEPTED_DIFFERENCES",
    "lapsed_days": "REFERSION_LAPSED_DAYS",
    "rising_days": "REFERSION_RISING_DAYS",
    "auto_approval_days": "REFERSION_AUTO_APPROVAL_DAYS",
    "credibility_orders": "REFERSION_CREDIBILITY_ORDERS",
    "pay_again": "REFERSION_PAY_AGAIN",
}
CURRENCY = re.compile(r"[A-Z]{3}")
DATED = re.compile(r"(\d{4}-\d{2}-\d{2})\s*:(.*)")
BEGINNING, END = date.min.isoformat(), date.max.isoformat()
ID = re.compile(r"(conversion:)?[\w.-]+")
DIFFERENCE = re.compile(
    r"(\d{4}-\d{2} \S+ \S+ \S+) ([+-]?\d+) ([+-]?[\d.]+) ([+-]?[\d.]+) by (\S.*?) on (\d{4}-\d{2}-\d{2}): *(\S.*)"
)


class ReportSettings(dg.ConfigurableResource):
    """How figures are calculated. Each field is also an environment variable, REFERSION_… in capitals."""

    report_timezone: str = Field(
        default="UTC", description="IANA time zone of days and months in every summary, such as America/New_York."
    )
    minimum_payout: str = Field(
        default="0",
        description="Commission below this is not paid out yet: one amount for all currencies (50) or one for each "
        "(USD=50,EUR=45).",
    )
    platform_fee_percent: str = Field(
        default="0",
        description="Refersion's fee in percent of affiliate-driven sales, such as 3 or 2.5. If it changed, add "
        "each later fee with the date from which it applies: 3; 2026-01-01: 2.5.",
    )
    subscription: str = Field(
        default="0",
        description="Refersion's subscription per month: one amount, or by currency (USD=299). If it changed, "
        "add each later amount with its date; it applies to months that begin on or after that date: 199; "
        "2026-01-01: 299.",
    )
    control_tolerance: str = Field(
        default="0",
        description="How much count, commission and order total of each month, status and payment status may differ "
        "from Refersion's own totals.",
    )
    accepted_differences: str = Field(
        default="",
        description="Individual differences from Refersion's own totals that somebody has explained, separated "
        "by semicolons: each as in summaries/control_totals, followed by who accepted it, when and why (2025-03 "
        "APPROVED UNPAID USD 1 12.50 125 by Ana Lee on 2025-04-02: Refersion does not count order 77). If a "
        "difference changes, it has to be accepted again.",
    )
    lapsed_days: str = Field(default="60", description="An affiliate without an order for this many days has lapsed.")
    rising_days: str = Field(
        default="28", description="Sales of this many days are compared with the same number of days before."
    )
    auto_approval_days: str = Field(
        default="90", description="Refersion approves pending conversions automatically after this many days."
    )
    credibility_orders: str = Field(
        default="20",
        description="Number of decided orders at which an affiliate's own approval rate weighs as much as the "
        "programme's; with more orders it weighs more.",
    )
    pay_again: str = Field(
        default="",
        description="Payments that were taken back and whose conversions may be paid again, by their ids (900,901); a "
        "single conversion as conversion:123. See summaries/payments_taken_back.",
    )

    def parameters(self) -> dict[str, Value]:
        """The settings as values of the `$name`s in SQL. Raises InvalidSetting."""
        return {
            "report_timezone": _timezone(self.report_timezone),
            "minimum_payout": _by_currency("minimum_payout", self.minimum_payout),
            "platform_fee_by_date": _by_date("platform_fee_percent", self.platform_fee_percent, _plain_amount),
            "subscription_by_date": _by_date("subscription", self.subscription, _by_currency),
            # The one that was given last.
            "subscription": _dated("subscription", self.subscription, _by_currency)[-1][1],
            "control_tolerance": _amount("control_tolerance", self.control_tolerance),
            "accepted_differences": _differences("accepted_differences", self.accepted_differences),
            "lapsed_days": _days("lapsed_days", self.lapsed_days),
            "rising_days": _days("rising_days", self.rising_days),
            "auto_approval_days": _days("auto_approval_days", self.auto_approval_days),
            "credibility_orders": _number("credibility_orders", self.credibility_orders, 1, 100_000, "orders"),
            "pay_again": _ids("pay_again", self.pay_again),
        }


# Those of the settings, two of them by date, and what is asked of the database: the reading that control_totals keeps
# to, its cells that moved while they were read, and what the account does not offer.
PARAMETERS = (
    *(name for name in SETTINGS_VARIABLES if name != "platform_fee_percent"),
    *("platform_fee_by_date", "subscription_by_date"),
    *("control_interpretation", "not_settled", "not_offered"),
)


def _wrong(field: str, value: str, expected: str) -> InvalidSetting:
    return InvalidSetting(f"{SETTINGS_VARIABLES[field]} is {value!r}; it has to be {expected}.")


def _timezone(value: str) -> str:
    try:
        return ZoneInfo(value.strip()).key
    except (ValueError, OSError, KeyError):
        raise _wrong("report_timezone", value, "an IANA time zone such as UTC or America/New_York") from None


def _amount(field: str, value: str) -> Decimal:
    try:
        amount = Decimal(value.strip())
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0 or amount != round(amount, 4) or amount >= 10**12:
        raise _wrong(field, value, "a number of 0 or more with at most four decimal places, such as 49.90")
    return amount


def _plain_amount(field: str, value: str) -> str:
    return f"{_amount(field, value):f}"


def _by_date(field: str, value: str, read: Callable[[str, str], str]) -> str:
    """`3; 2026-01-01: 2.5` as `0001-01-01|2026-01-01|3#2026-01-01|9999-12-31|2.5#`, which SQL takes apart.

    Each part is the first day on which a value holds, the first day on which it does not any more, and the value.
    """
    dated = _dated(field, value, read)
    ends = [*(day for day, _ in dated[1:]), END]
    return "".join(f"{day}|{end}|{one}#" for (day, one), end in zip(dated, ends, strict=True))


def _dated(field: str, value: str, read: Callable[[str, str], str]) -> list[tuple[str, str]]:
    """Values with the day from which each holds, from the beginning on; 0 before the first that has a day."""
    found: list[tuple[str, str]] = []
    for part in value.split(";"):
        match = DATED.fullmatch(part.strip())
        day, text = match.groups() if match else (BEGINNING, part)
        try:
            date.fromisoformat(day)
        except ValueError:
            raise _wrong(field, value, f"set with dates such as 2026-01-01, and {day} is not a date") from None
        if found and day <= found[-1][0]:
            raise _wrong(
                field,
                value,
                "one value, followed by later ones with the date from which each applies (3; 2026-01-01: 2.5)",
            )
        found.append((day, read(field, text)))
    return found if found[0][0] == BEGINNING else [(BEGINNING, read(field, "0")), *found]


def _differences(field: str, value: str) -> str:
    """Accepted differences as `;2025-03 APPROVED UNPAID USD 1 12.5000 125.0000=Ana Lee on 2025-04-02: why;`."""
    expected = (
        "differences separated by semicolons, each as in summaries/control_totals, followed by who accepted it, "
        "when and why: 2025-03 APPROVED UNPAID USD 1 12.50 125 by Ana Lee on 2025-04-02: Refersion does not "
        "count order 77"
    )
    accepted: dict[str, str] = {}
    for part in filter(None, map(str.strip, value.split(";"))):
        match = DIFFERENCE.fullmatch(part)
        if match is None:
            raise _wrong(field, part, expected)
        cell, count, commission, total, person, day, reason = match.groups()
        try:
            date.fromisoformat(day)
            difference = f"{cell} {int(count)} {Decimal(commission) + 0:.4f} {Decimal(total) + 0:.4f}"
        except (ValueError, InvalidOperation):
            raise _wrong(field, part, expected) from None
        if difference in accepted:
            raise _wrong(field, part, "listed once, but this difference is listed twice")
        accepted[difference] = f"{person} on {day}: {reason}"
    return "".join(f";{difference}={told}" for difference, told in accepted.items()) + ";"


def _days(field: str, value: str) -> int:
    return _number(field, value, 1, 3650, "days")


def _number(field: str, value: str, least: int, most: int, what: str) -> int:
    if not value.strip().isdecimal() or not least <= int(value) <= most:
        raise _wrong(field, value, f"a whole number of {what}, from {least} to {most}")
    return int(value)


def _ids(field: str, value: str) -> str:
    """`900,conversion:5` as `;900;conversion:5;`, in which SQL looks for one of them."""
    found = [part.strip() for part in value.split(",") if part.strip()]
    if not all(ID.fullmatch(part) for part in found):
        raise _wrong(
            field, value, "ids of payments separated by commas, or conversion:<id>, such as 900,conversion:123"
        )
    return "".join(f";{part}" for part in found) + ";"


def _by_currency(field: str, value: str) -> str:
    """One amount, or `USD=50,EUR=45`, as `USD=50;EUR=45;*=0;`, which SQL takes apart with split_part."""
    amounts: dict[str, Decimal] = {"*": Decimal(0)}
    for part in value.split(","):
        currency, equals, amount = (text.strip() for text in part.rpartition("="))
        if equals and not CURRENCY.fullmatch(currency):
            raise _wrong(field, value, "an amount, or one for each currency such as USD=50,EUR=45")
        amounts[currency or "*"] = _amount(field, amount)
    return "".join(f"{currency}={amount:f};" for currency, amount in sorted(amounts.items(), reverse=True))

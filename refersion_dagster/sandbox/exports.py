"""The merchant's CSV exports of affiliates and conversions, and the performance report.

Which rows they have is documented: pending and active affiliates, pending and approved conversions. The names of their
columns, their encoding and whether they end with totals are not: `ExportFormat` has each way.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.model import ACTIVE, APPROVED, PENDING, Conversion

Table = list[list[str]]
FIRST, LAST = 0, 2**62


@dataclass(frozen=True)
class ExportFormat:
    """How a file is written.

    Args:
        encoding: as of Python; utf-8-sig and utf-16 have a byte order mark.
        separator: between columns.
        timezone: of times; with UTC, their columns say so.
        time_format: of times, as of strftime.
        decimal: decimal separator of amounts; with a comma, points separate thousands.
        totals: whether the last row has totals: one row for each currency.
        columns: few, or many with which more figures are known.
    """

    encoding: str = "utf-8"
    separator: str = ","
    timezone: str = "UTC"
    time_format: str = "%Y-%m-%d %H:%M:%S"
    decimal: str = "."
    totals: bool = False
    columns: str = "few"


def write_table(table: Table, written: ExportFormat) -> bytes:
    """The rows as a file."""
    text = io.StringIO()
    csv.writer(text, delimiter=written.separator).writerows(table)
    return text.getvalue().encode(written.encoding)


def affiliates_table(account: Account) -> Table:
    """Pending and active affiliates."""
    head = ["Affiliate ID", "Affiliate Code", "First Name", "Last Name", "Email", "PayPal Email", "Status", "Offer"]
    return [
        head,
        *(
            [
                str(row.id),
                row.code,
                row.first_name,
                row.last_name,
                row.email,
                row.paypal_email,
                row.status,
                account.offers[row.offer_id].name,
            ]
            for row in sorted(account.affiliates.values(), key=lambda row: row.id)
            if row.status in (PENDING, ACTIVE)
        ),
    ]


def conversions_table(account: Account, written: ExportFormat, low: int = FIRST, high: int = LAST) -> Table:
    """Pending and approved conversions made from `low` on and before `high` (Unix seconds), without tests."""
    in_utc = " (UTC)" if written.timezone == "UTC" else ""
    zone = ZoneInfo(written.timezone)

    def when(seconds: int) -> str:
        return datetime.fromtimestamp(seconds, UTC).astimezone(zone).strftime(written.time_format)

    def amount(value: Decimal) -> str:
        return _amount(value, written)

    columns: dict[str, Callable[[Conversion], str]] = {
        "Conversion ID": lambda row: str(row.id),
        f"Created{in_utc}": lambda row: when(row.created),
        "Affiliate ID": lambda row: str(row.affiliate_id),
        "Order ID": lambda row: row.order_id,
        "Type": lambda row: row.type,
        "Status": lambda row: row.status,
        "Payment Status": lambda row: row.payment_status,
        "Currency": lambda row: row.currency,
        "Order Total": lambda row: amount(row.total),
        "Commission": lambda row: amount(row.commission_total),
    }
    if written.columns == "many":
        columns |= {
            f"Updated{in_utc}": lambda row: when(row.updated),
            "Affiliate Name": lambda row: _name(account, row.affiliate_id),
            "Affiliate Email": lambda row: _email(account, row.affiliate_id),
            "Offer ID": lambda row: str(row.offer_id),
            "Offer Name": lambda row: account.offers[row.offer_id].name,
            "Payment ID": lambda row: str(row.payment_id or ""),
            "Coupon": lambda row: row.coupon_code,
            "Recurring": lambda row: "Yes" if row.is_recurring else "No",
        }
    shown = [
        row
        for row in account.conversions_between(low, high)
        if row.status in (PENDING, APPROVED) and not row.is_test_conversion
    ]
    table = [[*columns], *([take(row) for take in columns.values()] for row in shown)]
    return [*table, *_totals([*columns], shown, amount)] if written.totals else table


def _totals(head: list[str], rows: list[Conversion], amount: Callable[[Decimal], str]) -> Table:
    sums: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal("0.00"), Decimal("0.00")))
    for row in rows:
        total, commission = sums[row.currency]
        sums[row.currency] = total + row.total, commission + row.commission_total
    found = []
    for currency, (total, commission) in sorted(sums.items()):
        cells = {"Conversion ID": "Total", "Currency": currency}
        cells |= {"Order Total": amount(total), "Commission": amount(commission)}
        found.append([cells.get(name, "") for name in head])
    return found


def performance_table(account: Account, written: ExportFormat, low: int = FIRST, high: int = LAST) -> Table:
    """Approved conversions made in the period, by affiliate and currency."""
    sums: dict[tuple[int, str], tuple[int, Decimal, Decimal]] = defaultdict(
        lambda: (0, Decimal("0.00"), Decimal("0.00"))
    )
    for row in account.conversions_between(low, high):
        if row.status == APPROVED and not row.is_test_conversion:
            count, total, commission = sums[row.affiliate_id, row.currency]
            sums[row.affiliate_id, row.currency] = count + 1, total + row.total, commission + row.commission_total
    head = ["Affiliate ID", "Affiliate Name", "Currency", "Conversions", "Revenue", "Commission"]
    lines = []
    for (affiliate_id, currency), (count, total, commission) in sorted(sums.items()):
        name = _name(account, affiliate_id)
        amounts = [_amount(total, written), _amount(commission, written)]
        lines.append([str(affiliate_id), name, currency, str(count), *amounts])
    if written.totals:
        by_currency: dict[str, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal("0.00"), Decimal("0.00")))
        for (_, currency), (_, total, commission) in sums.items():
            before = by_currency[currency]
            by_currency[currency] = before[0] + total, before[1] + commission
        for currency, held in sorted(by_currency.items()):
            lines.append(["Total", "", currency, "", *(_amount(value, written) for value in held)])
    return [head, *lines]


def _amount(value: Decimal, written: ExportFormat) -> str:
    text = f"{value:,}" if written.decimal == "," else str(value)
    return text.translate(str.maketrans(",.", ".,")) if written.decimal == "," else text


def name_export(kind: str, seconds: int, timezone: str) -> str:
    """A file name with the local time of the export. A browser's name would not have it."""
    return f"{kind} {datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(timezone)):%Y-%m-%d %H%M%S}.csv"


def _name(account: Account, affiliate_id: int) -> str:
    affiliate = account.affiliates.get(affiliate_id)
    return f"{affiliate.first_name} {affiliate.last_name}" if affiliate else ""


def _email(account: Account, affiliate_id: int) -> str:
    affiliate = account.affiliates.get(affiliate_id)
    return affiliate.email if affiliate else ""

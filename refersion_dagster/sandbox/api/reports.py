"""Saved CSV reports. The API can neither create nor list them; it only returns download links.

The column names are not public. The ones here are guesses, so a client's column mapping must be configurable.
"""

import csv
import io
from collections import defaultdict
from decimal import Decimal
from typing import Any

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.api.rest_fields import Fields, make_unprocessable
from refersion_dagster.sandbox.clock import sql_time
from refersion_dagster.sandbox.model import ACTIVE, APPROVED, PENDING
from refersion_dagster.sandbox.response import SandboxResponse

AFFILIATES, CONVERSIONS, PERFORMANCE, UNFINISHED = 3701, 3702, 3703, 3704
LIFETIME = 120

Table = list[list[str]]


class SavedReports:
    """The account's saved reports and the download links issued.

    Ids: 3701 affiliates (pending and active), 3702 conversions (pending and approved only: a row denied later
    disappears), 3703 performance by affiliate (approved only), 3704 a report that never finishes. A link serves the
    account as of the link's creation, and expires after two minutes of the sandbox's clock.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._links: dict[str, tuple[int, str]] = {}

    def link(self, fields: Fields, site: str) -> dict[str, Any]:
        """/reporting/link. `site` is the scheme and host that the client used."""
        fields.require("report_id")
        report_id = fields.number("report_id")
        if report_id == UNFINISHED:
            raise make_unprocessable("File is not available")
        tables = {AFFILIATES: _affiliates, CONVERSIONS: _conversions, PERFORMANCE: _performance}
        if report_id not in tables:
            raise make_unprocessable("Report ID not Found or Expired (error 5).")
        account = self._account
        expires = account.now + LIFETIME
        key = f"{account.world.rng('link', report_id, len(self._links)).getrandbits(160):040x}"
        self._links[key] = expires, _csv(tables[report_id](account))
        return {"download_link": f"{site}/api/reporting/download/37/87/{key}", "expire_time": expires}

    def download(self, key: str) -> SandboxResponse:
        """The file; 404 for an unknown or expired link (code and text inferred)."""
        expires, text = self._links.get(key, (0, ""))
        if self._account.now > expires:
            return SandboxResponse.json(404, {"error": "File is not available"})
        return SandboxResponse(
            200,
            text.encode(),
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": 'attachment; filename="report.csv"'},
        )


def link_operation(reports: SavedReports, site: str) -> Any:
    def operation(_account: Account, fields: Fields) -> dict[str, Any]:
        return reports.link(fields, site)

    return operation


def _affiliates(account: Account) -> Table:
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


def _conversions(account: Account) -> Table:
    head = ["Conversion ID", "Created (UTC)", "Affiliate ID", "Order ID", "Type", "Status", "Payment Status"]
    head += ["Currency", "Order Total", "Commission"]
    return [
        head,
        *(
            [
                str(row.id),
                sql_time(row.created),
                str(row.affiliate_id),
                row.order_id,
                row.type,
                row.status,
                row.payment_status,
                row.currency,
                str(row.total),
                str(row.commission_total),
            ]
            for row in (account.conversions[key] for _, key in account.timeline)
            if row.status in (PENDING, APPROVED) and not row.is_test_conversion
        ),
    ]


def _performance(account: Account) -> Table:
    sums: dict[tuple[int, str], tuple[int, Decimal, Decimal]] = defaultdict(
        lambda: (0, Decimal("0.00"), Decimal("0.00"))
    )
    for row in account.conversions.values():
        if row.status == APPROVED and not row.is_test_conversion:
            count, total, commission = sums[row.affiliate_id, row.currency]
            sums[row.affiliate_id, row.currency] = count + 1, total + row.total, commission + row.commission_total
    head = ["Affiliate ID", "Affiliate Name", "Currency", "Conversions", "Revenue", "Commission"]
    lines = []
    for (affiliate_id, currency), (count, total, commission) in sorted(sums.items()):
        affiliate = account.affiliates.get(affiliate_id)
        name = f"{affiliate.first_name} {affiliate.last_name}" if affiliate else ""
        lines.append([str(affiliate_id), name, currency, str(count), f"{total:,}", f"{commission:,}"])
    return [head, *lines]


def _csv(table: Table) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue()

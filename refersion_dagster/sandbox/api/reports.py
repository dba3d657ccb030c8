"""Saved CSV reports. The API can neither create nor list them; it only returns download links.

The column names are not public. The ones here are guesses, so a client's column mapping must be configurable.
"""

from typing import Any

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.api.rest_fields import Fields, make_unprocessable
from refersion_dagster.sandbox.exports import (
    ExportFormat,
    affiliates_table,
    conversions_table,
    performance_table,
    write_table,
)
from refersion_dagster.sandbox.response import SandboxResponse

AFFILIATES, CONVERSIONS, PERFORMANCE, UNFINISHED = 3701, 3702, 3703, 3704
LIFETIME = 120
PLAIN = ExportFormat()


class SavedReports:
    """The account's saved reports and the download links issued.

    Ids: 3701 affiliates (pending and active), 3702 conversions (pending and approved only: a row denied later
    disappears), 3703 performance by affiliate (approved only), 3704 a report that never finishes. A link serves the
    account as of the link's creation, and expires after two minutes of the sandbox's clock.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._links: dict[str, tuple[int, bytes]] = {}

    def link(self, fields: Fields, site: str) -> dict[str, Any]:
        """/reporting/link. `site` is the scheme and host that the client used."""
        fields.require("report_id")
        report_id = fields.number("report_id")
        if report_id == UNFINISHED:
            raise make_unprocessable("File is not available")
        tables = {
            AFFILIATES: affiliates_table,
            CONVERSIONS: lambda account: conversions_table(account, PLAIN),
            PERFORMANCE: lambda account: performance_table(account, PLAIN),
        }
        if report_id not in tables:
            raise make_unprocessable("Report ID not Found or Expired (error 5).")
        account = self._account
        expires = account.now + LIFETIME
        key = f"{account.world.rng('link', report_id, len(self._links)).getrandbits(160):040x}"
        self._links[key] = expires, write_table(tables[report_id](account), PLAIN)
        return {"download_link": f"{site}/api/reporting/download/37/87/{key}", "expire_time": expires}

    def download(self, key: str) -> SandboxResponse:
        """The file; 404 for an unknown or expired link (code and text inferred)."""
        expires, content = self._links.get(key, (0, b""))
        if self._account.now > expires:
            return SandboxResponse.json(404, {"error": "File is not available"})
        return SandboxResponse(
            200,
            content,
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": 'attachment; filename="report.csv"'},
        )


def link_operation(reports: SavedReports, site: str) -> Any:
    def operation(_account: Account, fields: Fields) -> dict[str, Any]:
        return reports.link(fields, site)

    return operation

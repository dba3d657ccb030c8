"""Where the reports and statements go, and whom statements come from."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from refersion_dagster.report.merchant import Merchant

REPORTS_VARIABLES = {
    "folder": "REFERSION_REPORT_PATH",
    "merchant_name": "REFERSION_MERCHANT_NAME",
    "merchant_address": "REFERSION_MERCHANT_ADDRESS",
}


class Reports(dg.ConfigurableResource):
    """The folder of the HTML report and of the statements, and the merchant that statements name."""

    folder: str = Field(default="refersion_reports", description="Folder of reports and statements.")
    merchant_name: str | None = Field(
        default=None, description="The merchant's name, printed at the top of each statement."
    )
    merchant_address: str | None = Field(
        default=None, description="The merchant's address below the name; lines are separated by semicolons."
    )

    @property
    def merchant(self) -> Merchant:
        return Merchant.of_settings(self.merchant_name, self.merchant_address)

    @property
    def path(self) -> Path:
        """The folder, absolute; it need not be there."""
        return Path(self.folder).expanduser().resolve()

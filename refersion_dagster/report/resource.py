"""The resource of the report and statements: their folder and the merchant."""

import dagster as dg

from refersion_dagster.report.merchant import Merchant
from refersion_dagster.report.storage import Folder, open_folder
from refersion_dagster.settings import OutputSettings
from refersion_dagster.settings.part import like


class Reports(dg.ConfigurableResource):
    """The folder of the HTML report and of the statements, and the merchant that statements name."""

    folder: str = like(OutputSettings, "report_path")
    merchant_name: str | None = like(OutputSettings, "merchant_name")
    merchant_address: str | None = like(OutputSettings, "merchant_address")

    @property
    def merchant(self) -> Merchant:
        return Merchant.from_settings(self.merchant_name, self.merchant_address)

    @property
    def path(self) -> Folder:
        """The absolute folder, which need not exist. Raises InvalidSetting and StorageNotSet."""
        return open_folder(OutputSettings.of({}, report_path=self.folder).report_path)

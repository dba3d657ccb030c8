"""Where the reports and statements go."""

from pathlib import Path

import dagster as dg
from pydantic import Field

REPORTS_VARIABLES = {"folder": "REFERSION_REPORT_PATH"}


class Reports(dg.ConfigurableResource):
    """The folder of the HTML report and of the statements."""

    folder: str = Field(default="refersion_reports", description="Folder of reports and statements.")

    @property
    def path(self) -> Path:
        """The folder, absolute; it need not be there."""
        return Path(self.folder).expanduser().resolve()

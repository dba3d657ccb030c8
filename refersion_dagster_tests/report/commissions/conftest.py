import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.report.commissions.report_helpers import ReportHarness, report_of


@pytest.fixture(scope="session")
def reported(account: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> ReportHarness:
    """The sandbox's account after one run that loads, summarizes, checks and reports it."""
    return report_of(account, tmp_path_factory.mktemp("reported"))

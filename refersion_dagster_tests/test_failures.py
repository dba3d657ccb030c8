"""How errors of ours end a run: with their text, and tried again only where that can help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_dlt import DagsterDltResource

from refersion_dagster.checks.assets import SUMS, all_checks
from refersion_dagster.errors import ReportedError
from refersion_dagster.failures import report_errors
from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.ingest.webhooks.events import WebhookInbox, webhook_events
from refersion_dagster.report.assets import Publishing, published_assets
from refersion_dagster.report.commissions.asset import commissions_report
from refersion_dagster.report.resource import Reports
from refersion_dagster.report.statements.asset import statements_asset
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.webhooks.inbox import Inbox
from refersion_dagster_tests.location import fresh_instance

SUMMARIES = load_summaries()
# One of each kind: summaries have one factory.
ASSETS: dict[str, dg.AssetsDefinition] = {
    "raw tables": refersion_tables,
    "webhook events": webhook_events,
    "a summary": summary_assets(SUMMARIES[:1])[0],
    "published copies": published_assets(SUMMARIES[:1])[0],
    "the report": commissions_report(SUMMARIES, []),
    "statements": statements_asset(),
}
TEXT = (
    "REFERSION_DESTINATION is 'oracle'; it has to be duckdb, postgres, ducklake, motherduck, bigquery, databricks, "
    "snowflake or redshift."
)


def resources(folder: Path) -> dict[str, Any]:
    Inbox(folder / "inbox.sqlite", create=True).close()
    return {
        "refersion": RefersionResource(),
        "warehouse": Warehouse(destination="oracle"),
        "settings": ReportSettings(),
        "webhook_inbox": WebhookInbox(path=str(folder / "inbox.sqlite")),
        "publishing": Publishing(folder=str(folder)),
        "reports": Reports(folder=str(folder)),
        "dlt": DagsterDltResource(),
    }


def failures(result: dg.ExecuteInProcessResult) -> list[str | None]:
    """What each failed step says."""
    found = []
    for event in result.get_step_failure_events():
        data = event.step_failure_data.user_failure_data
        found.append(data.description if data else event.step_failure_data.error_display_string)
    return found


@pytest.mark.parametrize("asset", ASSETS.values(), ids=ASSETS)
def test_an_asset_fails_with_the_text_of_the_error(asset: dg.AssetsDefinition, tmp_path: Path) -> None:
    with fresh_instance() as instance:
        result = dg.materialize([asset], resources=resources(tmp_path), instance=instance, raise_on_error=False)
    assert failures(result) == [TEXT]


@pytest.mark.parametrize("name", ["primary_key", SUMS, "history_agrees"])
def test_a_check_fails_with_the_text_of_the_error(name: str, tmp_path: Path) -> None:
    check = next(one for one in all_checks(SUMMARIES) if name in {key.name for key in one.check_keys})
    job = dg.define_asset_job("checks", dg.AssetSelection.checks(check))
    defs = dg.Definitions(asset_checks=[check], jobs=[job], resources=resources(tmp_path))
    with fresh_instance() as instance:
        result = defs.resolve_job_def("checks").execute_in_process(instance=instance, raise_on_error=False)
    assert failures(result) == [TEXT]


class Passing(ReportedError):
    may_pass = True


class Final(ReportedError):
    """Somebody has to change something."""


@pytest.mark.parametrize(("error", "attempts"), [(Passing("later"), 3), (Final("never"), 1)])
@pytest.mark.parametrize("is_generator", [False, True])
def test_a_step_is_tried_again_only_after_an_error_that_may_pass(
    error: ReportedError, attempts: int, is_generator: bool
) -> None:
    tried = []

    def returns() -> None:
        tried.append(error)
        raise error

    def yields() -> Iterator[dg.Output[int]]:
        tried.append(error)
        yield dg.Output(1)
        raise error

    op = dg.op(retry_policy=dg.RetryPolicy(max_retries=2))(report_errors(yields if is_generator else returns))
    with fresh_instance() as instance:
        result = (
            dg.GraphDefinition("graph", node_defs=[op])
            .to_job()
            .execute_in_process(instance=instance, raise_on_error=False)
        )
    assert len(tried) == attempts
    assert failures(result) == [str(error)]


def test_other_errors_pass_through() -> None:
    @report_errors
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()

"""The code location: every asset, job and resource, put together in one place.

Loading it needs no key, no network, and writes no file.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.settings import load_settings

# Before the modules below, as some look at the environment when they are imported.
load_settings()

from refersion_dagster.actions.orchestration.jobs import action_jobs
from refersion_dagster.actions.orchestration.specs import action_specs
from refersion_dagster.automation.activity import refersion_activity
from refersion_dagster.automation.alerts import refersion_alerts
from refersion_dagster.automation.backfill import refersion_backfill
from refersion_dagster.automation.conditions import FOLLOW_PARENTS, refersion_automation
from refersion_dagster.automation.jobs import refersion_reconcile, refersion_refresh, refersion_statements
from refersion_dagster.automation.schedules import schedules
from refersion_dagster.automation.statements import statements_schedule
from refersion_dagster.automation.webhook_sensor import refersion_webhook_inbox, refersion_webhooks
from refersion_dagster.checks.assets import all_checks
from refersion_dagster.documentation import documented
from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.ingest.webhooks.events import INBOX_VARIABLES, WebhookInbox, webhook_events
from refersion_dagster.refersion.environment import VARIABLES
from refersion_dagster.report.assets import PUBLISHING_VARIABLES, Publishing, published_assets
from refersion_dagster.report.commissions.asset import KEY as COMMISSIONS_REPORT
from refersion_dagster.report.commissions.asset import commissions_report
from refersion_dagster.report.resource import REPORTS_VARIABLES, Reports
from refersion_dagster.report.statements.asset import statements_asset
from refersion_dagster.resources import WAREHOUSE_VARIABLES, RefersionResource, Warehouse, from_environment
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.summaries.settings import SETTINGS_VARIABLES, ReportSettings

# The nightly refresh has a day, and some hours to end in.
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))

OWN = Path(__file__).with_name("defs")

summaries = load_summaries()
summary_tables = summary_assets(summaries)
checks = all_checks(summaries)
check_specs = [spec for checked in (*summary_tables, *checks) for spec in checked.check_specs]
check_keys = [spec.key for spec in check_specs]


def with_policies(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Policies for every asset of a kind, in one place."""
    if spec.key.path[0] in ("summaries", "published") or spec.key == COMMISSIONS_REPORT:
        spec = spec.replace_attributes(automation_condition=FOLLOW_PARENTS)
    return spec.replace_attributes(freshness_policy=FRESH)


def with_own(shipped: dg.Definitions) -> dg.Definitions:
    """Adds what `dg scaffold defs` wrote to the folder defs of a checkout, if it wrote anything."""
    if not any(path.suffix in (".py", ".yaml") for path in OWN.rglob("[!_]*")):
        return shipped
    return dg.Definitions.merge(shipped, dg.load_from_defs_folder(path_within_project=OWN))


defs = with_own(
    dg.Definitions(
        assets=dg.map_asset_specs(
            documented,
            [
                *dg.map_asset_specs(
                    with_policies,
                    [
                        refersion_tables,
                        *summary_tables,
                        *published_assets(summaries),
                        commissions_report(summaries, check_keys),
                    ],
                ),
                # Fresh whenever nothing waits.
                webhook_events,
                # Made once a month, or when a person asks for them.
                statements_asset(check_specs),
                # External ones: nothing but their jobs, launched by a person, ever writes to Refersion.
                *action_specs(),
            ],
        ),
        asset_checks=checks,
        jobs=[
            *(refersion_refresh, refersion_reconcile, refersion_backfill, refersion_webhooks, refersion_statements),
            *action_jobs(),
        ],
        schedules=[*schedules(), statements_schedule()],
        sensors=[refersion_activity, refersion_automation, refersion_alerts, refersion_webhook_inbox],
        resources={
            "refersion": RefersionResource(**from_environment(VARIABLES)),
            "warehouse": Warehouse(**from_environment(WAREHOUSE_VARIABLES)),
            "settings": ReportSettings(**from_environment(SETTINGS_VARIABLES)),
            "webhook_inbox": WebhookInbox(**from_environment(INBOX_VARIABLES)),
            "publishing": Publishing(**from_environment(PUBLISHING_VARIABLES)),
            "reports": Reports(**from_environment(REPORTS_VARIABLES)),
            "dlt": DagsterDltResource(),
        },
        # DuckDB takes one writing process, and a process a step costs seconds each.
        executor=dg.in_process_executor,
    )
)

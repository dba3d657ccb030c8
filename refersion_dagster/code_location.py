"""The code location: builds every asset, job and resource from the settings."""

from __future__ import annotations

from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.actions.orchestration.jobs import action_jobs
from refersion_dagster.actions.orchestration.specs import action_specs
from refersion_dagster.automation.activity import activity_sensor
from refersion_dagster.automation.alerts import alerts_sensor
from refersion_dagster.automation.backfill import backfill_job
from refersion_dagster.automation.conditions import FOLLOW_PARENTS, automation_sensor
from refersion_dagster.automation.jobs import reconcile_job, refresh_job, statements_job
from refersion_dagster.automation.schedules import schedules as refresh_schedules
from refersion_dagster.automation.statements import statements_schedule
from refersion_dagster.automation.webhook_sensor import webhook_job, webhook_sensor
from refersion_dagster.checks.assets import all_checks
from refersion_dagster.checks.extensions import load_own_checks
from refersion_dagster.documentation import add_documentation
from refersion_dagster.ingest.assets import raw_tables
from refersion_dagster.ingest.webhooks.events import WebhookInbox, webhook_events_asset
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.report.assets import Publishing, published_assets
from refersion_dagster.report.commissions.asset import PATH as COMMISSIONS_REPORT
from refersion_dagster.report.commissions.asset import commissions_report
from refersion_dagster.report.commissions.queries import find_summaries
from refersion_dagster.report.resource import Reports
from refersion_dagster.report.statements.asset import READS, statements_asset
from refersion_dagster.resources import (
    PrefixedRefersionResource,
    RefersionResource,
    resource_of,
)
from refersion_dagster.settings import (
    AccountSettings,
    FigureSettings,
    OutputSettings,
    Settings,
    WarehouseSettings,
    WebhookSettings,
)
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.extensions import (
    Extensions,
    check_translation,
    find_extensions,
    join_summaries,
    try_each,
)
from refersion_dagster.summaries.query import Summary, load_summaries, select_summaries
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.dialects.dialect import Dialect
from refersion_dagster.warehouse.registry import find_dialect

OWN = Path(__file__).with_name("defs")
# Documentation of own summaries.
OWN_SQL = "docs/own-sql.md"


def add_policies(fresh: dg.FreshnessPolicy, names: Namespace, spec: dg.AssetSpec) -> dg.AssetSpec:
    """Adds the policies that apply to every asset."""
    path = names.usual_path(spec.key)
    if path[0] in ("summaries", "published") or path == COMMISSIONS_REPORT:
        spec = spec.replace_attributes(automation_condition=FOLLOW_PARENTS)
    return spec.replace_attributes(freshness_policy=fresh)


def merge_own_definitions(shipped: dg.Definitions) -> dg.Definitions:
    """Adds what `dg scaffold defs` wrote to the defs folder of a checkout, if anything."""
    if not any(path.suffix in (".py", ".yaml") for path in OWN.rglob("[!_]*")):
        return shipped
    return dg.Definitions.merge(shipped, dg.load_from_defs_folder(path_within_project=OWN))


@cache
def _tables_and_checks(
    summaries: tuple[str, ...] | None, names: Namespace, extensions: Extensions
) -> tuple[list[Summary], list[dg.AssetsDefinition], list[dg.AssetChecksDefinition]]:
    """Summaries, their assets, and all checks, which take most of the time to build.

    Raises UnknownSummary, and SqlFileError for own files.
    """
    every = join_summaries(extensions.summaries)
    own_checks = load_own_checks(extensions.checks, every)
    selected = [*every] if summaries is None else select_summaries(summaries, every)
    return selected, summary_assets(selected, names), all_checks(selected, names, own_checks)


def check_own_files(extensions: Extensions, dialect: Dialect) -> None:
    """Raises SqlFileError if the SQL of own files has no proven translation to the warehouse's dialect."""
    every = join_summaries(extensions.summaries)
    own = [one.file for one in every if one.file.path in extensions.paths]
    try_each(own, lambda file: check_translation(file, dialect))
    try_each(load_own_checks(extensions.checks, every), lambda check: check_translation(check.file, dialect))


def build_definitions(settings: Settings) -> dg.Definitions:
    """Builds the code location with these settings. An invalid setting is reported by the step that needs it.

    Needs no key and no network, and writes no file. Keys are read from the environment when a run begins.
    """
    # DuckDB allows one writing process, and a separate process for each step takes seconds.
    executor = dg.Definitions(executor=dg.in_process_executor)
    return merge_own_definitions(dg.Definitions.merge(build_account(settings), executor))


def build_account(
    settings: Settings, names: Namespace = USUAL, summaries: tuple[str, ...] | None = None, schedules: bool = True
) -> dg.Definitions:
    """Builds the definitions of one account. All names are the namespace's, so other definitions fit beside them.

    Args:
        summaries: names of the summaries; what they read is added. None for all. The report and the statements exist
            only if all summaries that they read do.
        schedules: whether there are schedules and sensors.

    Raises UnknownSummary, and InvalidSetting and SqlFileError for own summaries and checks.
    """
    extensions = find_extensions(settings)
    check_own_files(extensions, find_dialect(settings.warehouse))
    selected, tables, checks = _tables_and_checks(summaries, names, extensions)
    pages = {f"summaries/{one.name}": OWN_SQL for one in selected if one.file.path in extensions.paths}
    present = {summary.name for summary in selected}
    check_specs = [spec for checked in (*tables, *checks) for spec in checked.check_specs]
    with_report = present.issuperset(find_summaries({summary.name for summary in load_summaries()}))
    with_statements = present.issuperset(READS)
    check_keys = [spec.key for spec in check_specs]
    followers = [*tables, *published_assets(selected, check_keys, names)]
    if with_report:
        followers.append(commissions_report(selected, check_keys, names))
    refreshed = [raw_tables(names), *followers]
    others = [
        # Fresh as long as no event is waiting.
        webhook_events_asset(names),
        # Generated once a month, or on request.
        *([statements_asset(check_specs, names)] if with_statements else []),
        # External assets: only their jobs, launched by a person, ever write to Refersion.
        *action_specs(names),
    ]
    # The same limit applies to alerts.
    fresh = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=settings.alerts.late_hours))
    watched = dg.map_asset_specs(partial(add_policies, fresh, names), refreshed)
    return dg.Definitions(
        assets=dg.map_asset_specs(partial(add_documentation, names, pages), [*watched, *others]),
        asset_checks=checks,
        jobs=[
            refresh_job([key for asset in refreshed for key in asset.keys], names),
            reconcile_job(selected, names),
            webhook_job(names),
            *([statements_job(names)] if with_statements else []),
            backfill_job(settings, names),
            *action_jobs(settings, names),
        ],
        schedules=[
            *refresh_schedules(settings, names),
            *([statements_schedule(settings, names)] if with_statements else []),
        ]
        if schedules
        else [],
        sensors=[
            activity_sensor(settings, names),
            automation_sensor([key for asset in followers for key in asset.keys], names),
            alerts_sensor(settings, names),
            webhook_sensor(names),
        ]
        if schedules
        else [],
        resources={
            names.name(usual): made
            for usual, made in resources(settings, names).items()
            # Another project's resource is not defined here.
            if names.resource(usual) == names.name(usual)
        },
    )


def resources(settings: Settings, names: Namespace = USUAL) -> dict[str, Any]:
    """The resources of assets and jobs, built from the settings."""
    account = PrefixedRefersionResource if settings.prefix else RefersionResource
    return {
        "refersion": resource_of(account, settings, AccountSettings),
        "warehouse": resource_of(names.warehouse_type, settings, WarehouseSettings, names.schemas),
        "settings": resource_of(ReportSettings, settings, FigureSettings),
        "webhook_inbox": resource_of(WebhookInbox, settings, WebhookSettings, path="webhook_inbox"),
        "publishing": resource_of(Publishing, settings, OutputSettings, folder="publish_path"),
        "reports": resource_of(Reports, settings, OutputSettings, folder="report_path"),
        "dlt": DagsterDltResource(),
    }

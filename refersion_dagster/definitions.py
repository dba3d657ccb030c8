"""The code location: every asset, job and resource, put together in one place.

Loading it needs no key, no network, and writes no file.
"""

from __future__ import annotations

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.automation.backfill import refersion_backfill
from refersion_dagster.automation.jobs import refersion_refresh
from refersion_dagster.checks.assets import all_checks
from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.refersion.environment import VARIABLES
from refersion_dagster.resources import (
    WAREHOUSE_VARIABLES,
    RefersionResource,
    Warehouse,
    from_environment,
)
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.summaries.settings import SETTINGS_VARIABLES, ReportSettings

summaries = load_summaries()

defs = dg.Definitions(
    assets=[refersion_tables, *summary_assets(summaries)],
    asset_checks=all_checks(summaries),
    jobs=[refersion_refresh, refersion_backfill],
    resources={
        "refersion": RefersionResource(**from_environment(VARIABLES)),
        "warehouse": Warehouse(**from_environment(WAREHOUSE_VARIABLES)),
        "settings": ReportSettings(**from_environment(SETTINGS_VARIABLES)),
        "dlt": DagsterDltResource(),
    },
    # DuckDB takes one writing process, and a process a step costs seconds each.
    executor=dg.in_process_executor,
)

"""The jobs that users start."""

from __future__ import annotations

import dagster as dg

from refersion_dagster.ingest.specs import GROUP as RAW_GROUP
from refersion_dagster.ingest.specs import asset_key
from refersion_dagster.report.assets import GROUP as PUBLISHED_GROUP
from refersion_dagster.report.commissions.asset import GROUP as REPORT_GROUP
from refersion_dagster.report.statements.asset import GROUP as STATEMENTS_GROUP
from refersion_dagster.summaries.query import GROUPS as SUMMARY_GROUPS

refersion_refresh = dg.define_asset_job(
    "refersion_refresh",
    selection=dg.AssetSelection.groups(RAW_GROUP, *SUMMARY_GROUPS, PUBLISHED_GROUP, REPORT_GROUP),
    description="Brings everything up to date: reads new rows and rows that may have changed, rebuilds the "
    "summaries, runs every check, and writes the published copies and the report.",
)

refersion_reconcile = dg.define_asset_job(
    "refersion_reconcile",
    selection=dg.AssetSelection.assets(asset_key("conversion_totals")) | dg.AssetSelection.groups("proof"),
    description="Runs only the proof: reads Refersion's own totals and compares the loaded rows with them to the cent.",
)

refersion_statements = dg.define_asset_job(
    "refersion_statements",
    selection=dg.AssetSelection.groups(STATEMENTS_GROUP),
    description="Generates the statements of a month for every affiliate or for one; choose both in the "
    "Launchpad (the arrow beside Materialize). Default: the last month that had ended when Refersion was last "
    "read.",
)

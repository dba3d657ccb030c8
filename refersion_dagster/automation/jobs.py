"""The jobs that users start."""

from __future__ import annotations

import dagster as dg

from refersion_dagster.ingest.specs import GROUP as RAW_GROUP
from refersion_dagster.summaries.query import GROUPS as SUMMARY_GROUPS

refersion_refresh = dg.define_asset_job(
    "refersion_refresh",
    selection=dg.AssetSelection.groups(RAW_GROUP, *SUMMARY_GROUPS),
    description="Everything up to date: reads what is new or may have changed, then rebuilds the summaries.",
)

"""The jobs that users start."""

from __future__ import annotations

import dagster as dg

from refersion_dagster.ingest.specs import GROUP as RAW_GROUP
from refersion_dagster.summaries.assets import GROUP as SUMMARIES_GROUP

refersion_refresh = dg.define_asset_job(
    "refersion_refresh",
    selection=dg.AssetSelection.groups(RAW_GROUP, SUMMARIES_GROUP),
    description="Everything up to date: reads what is new or may have changed, then rebuilds the summaries.",
)

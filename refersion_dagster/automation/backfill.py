"""The job that reads chosen months again: pick them on its page in the UI, each is a run of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.ingest.specs import asset_key
from refersion_dagster.refersion.windows import month_start, parse_moment

# Months that are offered where REFERSION_START_DATE says nothing.
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)


def first_month(environment: Mapping[str, str] = os.environ) -> datetime:
    """The first month on offer: that of REFERSION_START_DATE. What is no date is told by the run, not here."""
    try:
        return month_start(parse_moment(environment["REFERSION_START_DATE"]))
    except (KeyError, ValueError):
        return EARLIEST


@dg.monthly_partitioned_config(start_date=first_month(), end_offset=1)
def month_config(start: datetime, end: datetime) -> dict[str, Any]:
    """Run configuration that reads one month, and leaves the high-water mark alone."""
    span = {"read_from": start.isoformat(), "read_to": end.isoformat()}
    return {"ops": {refersion_tables.op.name: {"config": span}}}


refersion_backfill = dg.define_asset_job(
    "refersion_backfill",
    selection=dg.AssetSelection.assets(
        *(asset_key(name) for name in ("payments", "conversions", "conversion_history", "conversion_totals"))
    ),
    config=month_config,
    description="Reads chosen months of conversions, payments and totals again, each month a run of its own, without "
    "moving the high-water mark. The summaries follow with the next refresh.",
)

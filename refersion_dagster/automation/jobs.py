"""The jobs that users start. Dagster does not export the class of asset jobs, so their type is inferred."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from refersion_dagster.ingest.specs import asset_key
from refersion_dagster.namespace import Namespace
from refersion_dagster.report.statements.asset import PATH
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.query import Summary

REFRESH, RECONCILE, STATEMENTS = "refersion_refresh", "refersion_reconcile", "refersion_statements"
PROOF = "proof"
# A run keeps the warehouse to itself from its first step to its last, and a process for each step takes seconds.
EXECUTOR = dg.in_process_executor


def refresh_job(refreshed: Sequence[dg.AssetKey], names: Namespace):
    """The job `refersion_refresh`.

    Args:
        refreshed: every asset that a refresh brings up to date.
    """
    return dg.define_asset_job(
        names.name(REFRESH),
        selection=dg.AssetSelection.assets(*refreshed),
        executor_def=EXECUTOR,
        description="Brings everything up to date: reads new rows and rows that may have changed, rebuilds the "
        "summaries, runs every check, and writes the published copies and the report.",
    )


def reconcile_job(summaries: Sequence[Summary], names: Namespace):
    """The job `refersion_reconcile`."""
    proof = [names.table_key(SUMMARIES, one.name) for one in summaries if one.header.group == PROOF]
    return dg.define_asset_job(
        names.name(RECONCILE),
        selection=dg.AssetSelection.assets(asset_key("conversion_totals", names), *proof),
        executor_def=EXECUTOR,
        description="Runs only the proof: reads Refersion's own totals and compares the loaded rows with them to the "
        "cent.",
    )


def statements_job(names: Namespace):
    """The job `refersion_statements`."""
    return dg.define_asset_job(
        names.name(STATEMENTS),
        selection=dg.AssetSelection.assets(names.asset_key(*PATH)),
        executor_def=EXECUTOR,
        description="Generates the statements of a month for every affiliate or for one; choose both in the "
        "Launchpad (the arrow beside Materialize). Default: the last month that had ended when Refersion was last "
        "read.",
    )

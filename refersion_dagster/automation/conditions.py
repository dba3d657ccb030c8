"""Declarative automation: summaries follow the tables they read."""

from __future__ import annotations

import dagster as dg

from refersion_dagster.report.assets import GROUP as PUBLISHED_GROUP
from refersion_dagster.summaries.query import GROUPS as SUMMARY_GROUPS

# Eager alone would rebuild on top of parents whose blocking checks failed.
FOLLOW_PARENTS = (dg.AutomationCondition.eager() & dg.AutomationCondition.all_deps_blocking_checks_passed()).with_label(
    "parents updated, and their blocking checks passed"
)

# A refresh builds raw tables and summaries in one run, which Dagster takes for handled; this is for what else changes
# raw tables: a backfill, a table materialised by hand, webhooks.
refersion_automation = dg.AutomationConditionSensorDefinition(
    "refersion_automation",
    target=dg.AssetSelection.groups(*SUMMARY_GROUPS, PUBLISHED_GROUP),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Rebuilds summaries when tables they read were updated outside of a refresh and passed their checks.",
)

"""Declarative automation: summaries follow the tables they read."""

from __future__ import annotations

import dagster as dg

from refersion_dagster.report.assets import GROUP as PUBLISHED_GROUP
from refersion_dagster.report.commissions.asset import GROUP as REPORT_GROUP
from refersion_dagster.summaries.query import GROUPS as SUMMARY_GROUPS

PARENTS_UPDATED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())

# Dagster looks every 30 s. Its own `eager` takes a table that was built within those 30 s as handled, though a parent
# may have been updated after it: one loaded by hand after a refresh would reach no summary until the next refresh.
# This compares the times of the updates, which Dagster knows of plain conditions only, not of those joined by & and |.
PARENTS_NEWER = PARENTS_UPDATED.since(dg.AutomationCondition.newly_updated()).with_label("a parent is newer")
# A build that failed is not tried again every 30 s, but when a parent is updated again.
NOT_YET_TRIED = PARENTS_UPDATED.since(dg.AutomationCondition.newly_requested() & ~PARENTS_UPDATED).with_label(
    "a parent was updated since this was asked for"
)
PARENTS_REQUESTED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())

# Parents whose blocking checks failed are not built upon.
FOLLOW_PARENTS = (
    ((PARENTS_NEWER & NOT_YET_TRIED) | PARENTS_REQUESTED)
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("parents updated, and their blocking checks passed")

# A refresh builds raw tables and summaries in one run, which Dagster takes for handled; this is for what else changes
# raw tables: a backfill, a table materialised by hand, webhooks.
refersion_automation = dg.AutomationConditionSensorDefinition(
    "refersion_automation",
    target=dg.AssetSelection.groups(*SUMMARY_GROUPS, PUBLISHED_GROUP, REPORT_GROUP),
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Rebuilds summaries, and everything that depends on them, when tables they read were updated "
    "outside of a refresh and passed their checks.",
)

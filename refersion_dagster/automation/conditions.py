"""Declarative automation: summaries are rebuilt after the tables they read."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from refersion_dagster.namespace import USUAL, Namespace

PARENTS_UPDATED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())

# Dagster evaluates conditions every 30 s. Its own `eager` treats a table built within those 30 s as up to date, even
# if a parent was updated after it: a table loaded manually after a refresh would reach no summary until the next
# refresh. This condition compares update times, which Dagster supports for plain conditions only, not for those joined
# by & and |.
PARENTS_NEWER = PARENTS_UPDATED.since(dg.AutomationCondition.newly_updated()).with_label("a parent is newer")
# A failed build is not repeated every 30 s, but after the next update of a parent.
NOT_YET_TRIED = PARENTS_UPDATED.since(dg.AutomationCondition.newly_requested() & ~PARENTS_UPDATED).with_label(
    "a parent was updated since this was asked for"
)
PARENTS_REQUESTED = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())

# Summaries are not built on parents whose blocking checks failed.
FOLLOW_PARENTS = (
    ((PARENTS_NEWER & NOT_YET_TRIED) | PARENTS_REQUESTED)
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
).with_label("parents updated, and their blocking checks passed")


def automation_sensor(
    followers: Sequence[dg.AssetKey], names: Namespace = USUAL
) -> dg.AutomationConditionSensorDefinition:
    """The sensor `refersion_automation`.

    A refresh builds raw tables and summaries in one run, which Dagster counts as handled. This sensor covers everything
    else that changes raw tables: a backfill, a table materialised manually, webhooks.

    Args:
        followers: the assets that have the condition.
    """
    return dg.AutomationConditionSensorDefinition(
        names.name("refersion_automation"),
        target=dg.AssetSelection.assets(*followers),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Rebuilds summaries, and everything that depends on them, when tables they read were updated "
        "outside of a refresh and passed their checks.",
    )

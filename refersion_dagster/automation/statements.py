"""The schedule `refersion_statements`: the statements of a month, once it is over."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import dagster as dg

from refersion_dagster.automation.jobs import refersion_statements
from refersion_dagster.automation.schedules import cron_of, or_telling, timezone_of

CRON_VARIABLE, CRON = "REFERSION_STATEMENTS_CRON", "0 6 1 * *"
ZONE_VARIABLE = "REFERSION_REPORT_TIMEZONE"


def statements_schedule(environment: Mapping[str, str] = os.environ) -> dg.ScheduleDefinition:
    """The schedule, as the environment sets it; one that it sets wrong says so at each tick."""
    return or_telling("refersion_statements", refersion_statements, CRON, partial(_statements_schedule, environment))


def _statements_schedule(environment: Mapping[str, str]) -> dg.ScheduleDefinition:
    # Not that of the other schedules: months end in the reporting time zone.
    zone = timezone_of(ZONE_VARIABLE, environment)

    @dg.schedule(
        name="refersion_statements",
        job=refersion_statements,
        cron_schedule=cron_of(CRON_VARIABLE, CRON, environment),
        execution_timezone=zone,
        description="Generates the statements of the previous month on the first of the month, after the nightly "
        "refresh has read its last day.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        # Not skipped while another run is in progress, as the next tick is a month away: the run waits for its turn.
        month = month_before(context.scheduled_execution_time, zone)
        return dg.RunRequest(
            run_key=f"refersion_statements {context.scheduled_execution_time:%Y-%m-%dT%H:%M%z}",
            # Named, so that late data is reported instead of generating an earlier month's statements again.
            run_config={"ops": {"report__statements": {"config": {"month": f"{month:%Y-%m}"}}}},
        )

    return tick


def month_before(moment: datetime, zone: str) -> date:
    """First day of the month that ended last, as clocks in the zone show it."""
    first = moment.astimezone(ZoneInfo(zone)).date().replace(day=1)
    return (first - timedelta(days=1)).replace(day=1)

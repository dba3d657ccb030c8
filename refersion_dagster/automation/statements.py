"""The schedule `refersion_statements`: writes the statements of a month once it is over."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from refersion_dagster.automation.jobs import STATEMENTS
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.report.statements.asset import PATH
from refersion_dagster.settings import FigureSettings, InvalidSetting, ScheduleSettings, Settings


def statements_schedule(settings: Settings, names: Namespace = USUAL) -> dg.ScheduleDefinition:
    """The schedule. If its settings are invalid, each tick reports it."""
    # Not the zone of the other schedules: months end in the reporting time zone.
    zone = settings.figures.report_timezone
    wrong = settings.problem([ScheduleSettings.variable("statements_cron"), FigureSettings.variable("report_timezone")])

    @dg.schedule(
        name=names.name(STATEMENTS),
        job_name=names.name(STATEMENTS),
        cron_schedule=settings.schedules.statements_cron,
        execution_timezone=zone,
        description=wrong
        or "Generates the statements of the previous month on the first of the month, after the nightly refresh has "
        "read its last day.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        if wrong:
            raise InvalidSetting(wrong)
        # Not skipped while another run is in progress, because the next tick is a month away: the run waits in the
        # queue.
        month = month_before(context.scheduled_execution_time, zone)
        return dg.RunRequest(
            run_key=f"{names.name(STATEMENTS)} {context.scheduled_execution_time:%Y-%m-%dT%H:%M%z}",
            # The month is named, so that late data is reported instead of generating an earlier month's statements
            # again.
            run_config={"ops": {names.step(*PATH): {"config": {"month": f"{month:%Y-%m}"}}}},
        )

    return tick


def month_before(moment: datetime, zone: str) -> date:
    """First day of the last month that has ended, in the given time zone."""
    first = moment.astimezone(ZoneInfo(zone)).date().replace(day=1)
    return (first - timedelta(days=1)).replace(day=1)

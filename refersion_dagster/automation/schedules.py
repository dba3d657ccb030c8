"""Schedules: a light refresh every hour, the whole look-back every night, and a deep refresh every week.

Each one refreshes everything, so that summaries and checks belong to the same read; they differ in how far back they
read. Times, time zone and look-backs are settings. An invalid one does not prevent the code location from loading: the
schedule reports it at each tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from refersion_dagster.automation.active_runs import describe_active_run
from refersion_dagster.automation.jobs import REFRESH
from refersion_dagster.ingest.assets import LOADS
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.settings import FigureSettings, InvalidSetting, ScheduleSettings, Settings


@dataclass(frozen=True)
class Cadence:
    """The definition of one schedule.

    Args:
        name: its name in Dagster.
        cron: field of ScheduleSettings with its times.
        lookback: field of ScheduleSettings with its look-back; None for the look-back of the account.
        all_details: whether the details of every affiliate are read again.
    """

    name: str
    description: str
    cron: str
    lookback: str | None = None
    all_details: bool = False
    runs_by_default: bool = False


CADENCES = (
    Cadence(
        "refersion_hourly",
        "Light refresh: new rows and changes of the last days.",
        "hourly_cron",
        "hourly_lookback_days",
    ),
    Cadence(
        "refersion_nightly",
        "Complete refresh with the whole look-back: approvals, denials and payments of older conversions, and "
        "the proof against Refersion.",
        "nightly_cron",
        runs_by_default=True,
    ),
    Cadence(
        "refersion_weekly",
        "Deep refresh: two years back, and the details of every affiliate, for changes that nothing else reveals.",
        "weekly_cron",
        "weekly_lookback_days",
        all_details=True,
    ),
)


def schedules(settings: Settings, names: Namespace = USUAL) -> list[dg.ScheduleDefinition]:
    """The schedules. If the settings of one are invalid, each of its ticks reports it."""
    return [schedule(cadence, settings, names) for cadence in CADENCES]


def schedule(cadence: Cadence, settings: Settings, names: Namespace = USUAL) -> dg.ScheduleDefinition:
    """One schedule."""
    config = run_config(cadence, settings.schedules, names)
    zone = settings.schedules.schedule_timezone
    fields = ("schedule_timezone", cadence.cron, *filter(None, [cadence.lookback]))
    variables = [ScheduleSettings.variable(field) for field in fields]
    if zone is None:
        zone = settings.figures.report_timezone
        variables.append(FigureSettings.variable("report_timezone"))
    wrong = settings.problem(variables)

    @dg.schedule(
        name=names.name(cadence.name),
        job_name=names.name(REFRESH),
        cron_schedule=getattr(settings.schedules, cadence.cron),
        execution_timezone=zone,
        description=wrong or cadence.description,
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if cadence.runs_by_default else dg.DefaultScheduleStatus.STOPPED
        ),
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if wrong:
            raise InvalidSetting(wrong)
        if running := describe_active_run(context.instance, names=names):
            return dg.SkipReason(f"Not started: {running}. The next tick tries again.")
        # The run key prevents a tick that is evaluated twice from starting two runs.
        return dg.RunRequest(
            run_key=f"{names.name(cadence.name)} {context.scheduled_execution_time:%Y-%m-%dT%H:%M%z}", run_config=config
        )

    return tick


def run_config(cadence: Cadence, settings: ScheduleSettings, names: Namespace) -> dict[str, Any]:
    """The run configuration of the refresh."""
    options: dict[str, Any] = {}
    if cadence.lookback:
        options["lookback_days"] = getattr(settings, cadence.lookback)
    if cadence.all_details:
        options["all_details"] = True
    return {"ops": {names.name(LOADS): {"config": options}}} if options else {}

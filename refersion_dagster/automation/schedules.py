"""Schedules: a light refresh every hour, the whole look-back every night, and a deep one every week.

Each is a refresh of everything, so that summaries and checks belong to one reading; they differ in how far back they
read. Times, time zone and look-backs are environment variables, read when the code location is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
from croniter import croniter

from refersion_dagster.automation.active_runs import going_on
from refersion_dagster.automation.jobs import refersion_refresh
from refersion_dagster.settings import InvalidSetting

TIMEZONE_VARIABLE = "REFERSION_SCHEDULE_TIMEZONE"


class InvalidSchedule(InvalidSetting):
    """A variable that no schedule can be made of; names it and what it may be."""


@dataclass(frozen=True)
class Cadence:
    """One schedule.

    Args:
        name: its name in Dagster.
        cron_variable: environment variable of its times, `cron` where that is not set.
        lookback_variable: environment variable of its look-back, `lookback_days` where that is not set; None for the
            look-back of the account (REFERSION_LOOKBACK_DAYS).
        all_details: whether the details of every affiliate are read again.
    """

    name: str
    description: str
    cron_variable: str
    cron: str
    lookback_variable: str | None = None
    lookback_days: int | None = None
    all_details: bool = False
    runs_by_default: bool = False


CADENCES = (
    Cadence(
        "refersion_hourly",
        "Light refresh: new rows and changes of the last days.",
        "REFERSION_HOURLY_CRON",
        "15 * * * *",
        "REFERSION_HOURLY_LOOKBACK_DAYS",
        3,
    ),
    Cadence(
        "refersion_nightly",
        "Complete refresh with the whole look-back: approvals, denials and payments of older conversions, and "
        "the proof against Refersion.",
        "REFERSION_NIGHTLY_CRON",
        "0 3 * * *",
        runs_by_default=True,
    ),
    Cadence(
        "refersion_weekly",
        "Deep refresh: two years back, and the details of every affiliate, for changes that nothing else reveals.",
        "REFERSION_WEEKLY_CRON",
        "0 5 * * 0",
        "REFERSION_WEEKLY_LOOKBACK_DAYS",
        730,
        all_details=True,
    ),
)


def schedules(environment: Mapping[str, str] = os.environ) -> list[dg.ScheduleDefinition]:
    """The schedules, as the environment sets them; one that it sets wrong says so at each tick."""
    return [
        or_telling(
            cadence.name,
            refersion_refresh,
            cadence.cron,
            partial(schedule, cadence, environment),
            cadence.runs_by_default,
        )
        for cadence in CADENCES
    ]


def or_telling(
    name: str, job: Any, cron: str, make: Callable[[], dg.ScheduleDefinition], runs_by_default: bool = False
) -> dg.ScheduleDefinition:
    """A schedule; where it cannot be made, one at its default times whose ticks fail with the reason.

    So a misspelt time zone keeps no code location from loading.
    """
    try:
        return make()
    except InvalidSchedule as error:
        wrong = str(error)

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        description=wrong,
        # Those that do nothing unless they are switched on say nothing unless they are, either.
        default_status=dg.DefaultScheduleStatus.RUNNING if runs_by_default else dg.DefaultScheduleStatus.STOPPED,
    )
    def tick(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        raise InvalidSchedule(wrong)

    return tick


def schedule(cadence: Cadence, environment: Mapping[str, str]) -> dg.ScheduleDefinition:
    """One schedule. Raises InvalidSchedule."""
    config = run_config(cadence, environment)

    @dg.schedule(
        name=cadence.name,
        job=refersion_refresh,
        cron_schedule=cron_of(cadence.cron_variable, cadence.cron, environment),
        execution_timezone=timezone_of(TIMEZONE_VARIABLE, environment),
        description=cadence.description,
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if cadence.runs_by_default else dg.DefaultScheduleStatus.STOPPED
        ),
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if running := going_on(context.instance):
            return dg.SkipReason(f"Not started: {running}. The next tick tries again.")
        # The key keeps a tick that is evaluated twice from starting two runs.
        return dg.RunRequest(
            run_key=f"{cadence.name} {context.scheduled_execution_time:%Y-%m-%dT%H:%M%z}", run_config=config
        )

    return tick


def run_config(cadence: Cadence, environment: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of the refresh. Raises InvalidSchedule."""
    options: dict[str, Any] = {}
    if cadence.lookback_variable:
        given = environment.get(cadence.lookback_variable) or str(cadence.lookback_days)
        if not given.strip().isdecimal():
            raise InvalidSchedule(f"{cadence.lookback_variable} is {given!r}; it has to be a whole number of days.")
        options["lookback_days"] = int(given)
    if cadence.all_details:
        options["all_details"] = True
    return {"ops": {"refersion_tables": {"config": options}}} if options else {}


def cron_of(variable: str, default: str, environment: Mapping[str, str]) -> str:
    """Times as a variable gives them. Raises InvalidSchedule."""
    given = environment.get(variable) or default
    if len(given.split()) != 5 or not croniter.is_valid(given):
        raise InvalidSchedule(
            f"{variable} is {given!r}; it has to be a cron expression (minute, hour, day, month, weekday) such as "
            f"{default!r}."
        )
    return given


def timezone_of(variable: str, environment: Mapping[str, str]) -> str:
    """A time zone as a variable gives it; by default that of the reports, and UTC. Raises InvalidSchedule."""
    given = environment.get(variable) or environment.get("REFERSION_REPORT_TIMEZONE") or "UTC"
    try:
        return ZoneInfo(given).key
    except (ValueError, OSError, KeyError):
        raise InvalidSchedule(f"{variable} is {given!r}; it has to be an IANA time zone such as UTC.") from None

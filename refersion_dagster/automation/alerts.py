"""The alerts sensor: reports each problem once, until it is solved."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg

from refersion_dagster.automation.channels import URLS_VARIABLE, Channel, channels, send
from refersion_dagster.automation.incidents import Incident, find_late_load, incidents_of, list_ended_runs
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.api.status_page import StatusPage
from refersion_dagster.resources import RefersionResource
from refersion_dagster.settings import AlertSettings, Settings

NAME = "refersion_alerts"
INTERVAL_SECONDS = 30
RUNS_A_TICK = 50


@dataclass
class AlertsCursor:
    """The sensor's state.

    Args:
        after: runs that ended up to this time were examined, ISO 8601.
        open: keys of problems that were reported and are not solved.
    """

    after: str
    open: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, text: str | None, now: datetime) -> AlertsCursor:
        """Parses a cursor written by `write`. Without one, alerts start now, because old failures are not news."""
        try:
            cursor = cls(**json.loads(text or ""))
            datetime.fromisoformat(cursor.after)
        except (ValueError, TypeError):
            return cls(now.isoformat())
        return cursor

    def write(self) -> str:
        return json.dumps(asdict(self))


def alerts_sensor(settings: Settings, names: Namespace = USUAL) -> dg.SensorDefinition:
    """The sensor `refersion_alerts`."""

    @dg.sensor(
        name=names.name(NAME),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Reports failed runs, failed checks and late data to the channels in {URLS_VARIABLE}: each "
        "problem once, until it is solved.",
    )
    def refersion_alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if wrong := settings.problem(AlertSettings.variables().values()):
            return dg.SkipReason(wrong)
        page = None if settings.account.exports_path else RefersionResource.of(settings.account).status_page()
        return report(context, settings.alerts, names, page)

    return refersion_alerts


def report(
    context: dg.SensorEvaluationContext, settings: AlertSettings, names: Namespace, page: StatusPage | None
) -> dg.SensorResult:
    """Examines the runs that ended since the last tick, and the age of the data.

    Args:
        page: Refersion's status page, which is read at most once, for problems that an outage may explain.
    """
    now = datetime.now(UTC)
    cursor = AlertsCursor.read(context.cursor, now)
    to = channels(settings)
    if not to:
        return dg.SensorResult(
            skip_reason=dg.SkipReason(f"{URLS_VARIABLE} is not set: no alerts are sent."),
            cursor=AlertsCursor(now.isoformat()).write(),
        )
    told, unreached = 0, []
    notices = cache(lambda: str(page.read()) if page else "")
    after = datetime.fromisoformat(cursor.after)
    for ended, run in list_ended_runs(context.instance, after, RUNS_A_TICK, names):
        found = incidents_of(context.instance, run)
        cursor.open = [key for key in cursor.open if key not in found.solved]
        for problem in found.problems:
            if problem.key not in cursor.open:
                unreached += send_alert(problem, to, settings.dagster_url, notices)
                cursor.open.append(problem.key)
                told += 1
        cursor.after = ended.replace(tzinfo=ended.tzinfo or UTC).isoformat()
    problem = find_late_load(context.instance, now, timedelta(hours=settings.late_hours), names)
    if problem is None:
        cursor.open = [key for key in cursor.open if key != "late"]
    elif problem.key not in cursor.open:
        unreached += send_alert(problem, to, settings.dagster_url, notices)
        cursor.open.append(problem.key)
        told += 1
    for channel in dict.fromkeys(unreached):
        context.log.warning(f"{channel} could not be reached.")
    words = f"{told} sent" if told else "Nothing new"
    return dg.SensorResult(
        skip_reason=dg.SkipReason(
            f"{words}; {len(cursor.open)} unsolved{': ' if cursor.open else ''}{', '.join(cursor.open)}."
        ),
        cursor=cursor.write(),
    )


def send_alert(problem: Incident, to: Sequence[Channel], dagster_url: str, notices: Callable[[], str]) -> list[Channel]:
    """Sends one problem. Returns the channels that could not be reached.

    Args:
        notices: returns what Refersion's status page reports.
    """
    page = dagster_url.rstrip("/")
    link = f"\n\n{page}/runs/{problem.run_id}" if problem.run_id else f"\n\n{page}"
    reported = notices() if problem.may_be_refersion else ""
    text = f"{problem.text}\n\n{reported}" if reported else problem.text
    return send(to, f"Refersion: {problem.title}", text + link)

"""The activity sensor: checks Refersion for changes, and refreshes only if there are any."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from refersion_dagster.automation.active_runs import describe_active_run
from refersion_dagster.automation.jobs import REFRESH
from refersion_dagster.ingest.assets import LOADS
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.resources import RefersionResource
from refersion_dagster.settings import ScheduleSettings, Settings

INTERVAL_VARIABLE = ScheduleSettings.variable("activity_seconds")
# The response has to arrive within Dagster's time limit for a sensor tick, which is 60 s.
RETRY_SECONDS = 10
# Conversions of these days are summed for comparison, and read again if something changed.
WINDOW_DAYS = 3
# After n consecutive failures, the interval is doubled n times, up to this.
LONGEST_WAIT = timedelta(hours=6)


@dataclass(frozen=True)
class ActivitySnapshot:
    """The state of Refersion: pending and approved conversions of the last days, their commission, and affiliates."""

    since: str
    conversions: str
    commission: str
    affiliates: str

    def changes_to(self, now: ActivitySnapshot) -> list[str]:
        """The differences, in words."""
        names = ("conversions", "commission", "affiliates")
        return [
            f"{name} {getattr(self, name)} -> {getattr(now, name)}"
            for name in names
            if getattr(self, name) != getattr(now, name)
        ]


@dataclass(frozen=True)
class ActivityCursor:
    """The sensor's state.

    Args:
        seen: the last response; a run was started for every difference from the previous one.
        failures: number of consecutive failures.
        not_before: when to try again after a failure, ISO 8601.
    """

    seen: ActivitySnapshot | None = None
    failures: int = 0
    not_before: str | None = None

    @classmethod
    def read(cls, text: str | None) -> ActivityCursor:
        """Parses a cursor written by `write`. Returns a new one if another version wrote it."""
        try:
            held: dict[str, Any] = json.loads(text or "{}")
            seen = held.pop("seen", None)
            return cls(ActivitySnapshot(**seen) if seen else None, **held)
        except (ValueError, TypeError):
            return cls()

    def write(self) -> str:
        return json.dumps(asdict(self))


def take_snapshot(refersion: RefersionResource) -> ActivitySnapshot:
    """Reads one row of /affiliate/list and calls /conversion/totals once. Raises RefersionError.

    Totals start at midnight by Refersion's clock, because a moving range would change without any event.
    """
    account = refersion.account(retry_seconds=RETRY_SECONDS)
    try:
        listed = account.rest.call("/affiliate/list", {"limit": "1", "page": "1"})
        since = account.now.replace(hour=0, minute=0, second=0) - timedelta(days=WINDOW_DAYS)
        totals = account.rest.call(
            "/conversion/totals",
            {"status": ["PENDING", "APPROVED"], "created_from": f"{since:%Y-%m-%d %H:%M:%S}"},
        )
    finally:
        account.close()
    count, commission, total = (
        # The published sample formats figures as "500.84,".
        str(answer.get(name)).strip().rstrip(",") if isinstance(answer, dict) else "?"
        for answer, name in ((totals, "conversions_count"), (totals, "commission_total"), (listed, "total"))
    )
    return ActivitySnapshot(f"{since:%Y-%m-%d}", count, commission, total)


def activity_sensor(settings: Settings, names: Namespace = USUAL) -> dg.SensorDefinition:
    """The sensor `refersion_activity`. If its interval is invalid, each tick reports it."""
    seconds = settings.schedules.activity_seconds

    @dg.sensor(
        name=names.name("refersion_activity"),
        job_name=names.name(REFRESH),
        minimum_interval_seconds=seconds,
        description="Checks regularly, with two small requests, whether conversions or affiliates changed, and "
        "refreshes the last days only if they did.",
    )
    @names.rename_resources
    def refersion_activity(
        context: dg.SensorEvaluationContext, refersion: RefersionResource
    ) -> dg.SensorResult | dg.SkipReason:
        settings.check([INTERVAL_VARIABLE])
        if refersion.exports_path:
            return dg.SkipReason("This account is read from exports: the schedules load new files.")
        return compare(context, refersion, seconds, names)

    return refersion_activity


def compare(
    context: dg.SensorEvaluationContext, refersion: RefersionResource, seconds: int, names: Namespace
) -> dg.SensorResult | dg.SkipReason:
    """Compares Refersion's current state with the previous one. Skip reasons contain the figures."""
    cursor, now = ActivityCursor.read(context.cursor), datetime.now(UTC)
    if cursor.not_before and now < datetime.fromisoformat(cursor.not_before):
        return dg.SkipReason(f"Refersion did not answer {cursor.failures} times; waiting until {cursor.not_before}.")
    try:
        seen = take_snapshot(refersion)
    except RefersionError as error:
        failures = cursor.failures + 1
        wait = min(timedelta(seconds=seconds * 2 ** min(failures, 10)), LONGEST_WAIT)
        failed = replace(cursor, failures=failures, not_before=(now + wait).isoformat(timespec="seconds"))
        return dg.SensorResult(
            skip_reason=dg.SkipReason(f"Refersion did not answer; asking again after {wait}. {error}"),
            cursor=failed.write(),
        )
    words = (
        f"{seen.conversions} conversions since {seen.since}, commission {seen.commission}, {seen.affiliates} affiliates"
    )
    if cursor.seen is None:
        changes = ["first check"]
    elif cursor.seen.since != seen.since:
        changes = ["first check of the day"]
    else:
        changes = cursor.seen.changes_to(seen)
    if not changes:
        return dg.SensorResult(
            skip_reason=dg.SkipReason(f"Nothing changed: {words}."), cursor=ActivityCursor(seen).write()
        )
    if running := describe_active_run(context.instance, names=names):
        # The new state is not stored, so that the next check finds the change again.
        return dg.SensorResult(
            skip_reason=dg.SkipReason(f"Changed ({', '.join(changes)}), but {running}."),
            cursor=replace(cursor, failures=0, not_before=None).write(),
        )
    context.log.info(f"{', '.join(changes)}: {words}")
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_config={"ops": {names.name(LOADS): {"config": {"lookback_days": WINDOW_DAYS}}}},
                tags={"refersion/why": ", ".join(changes)[:200]},
            )
        ],
        cursor=ActivityCursor(seen).write(),
    )

"""Writes the records of Dagster's daemon, for tests that do not run one. Dagster does not document them."""

from __future__ import annotations

import time

import dagster as dg
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat


def beat(instance: dg.DagsterInstance, *kinds: str, seconds_ago: float = 0) -> None:
    """Records the heartbeat that a running daemon sends every half minute; by default for all its parts."""
    for kind in kinds or instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, kind, "tested"))


def tick_of(instance: dg.DagsterInstance, location: str, schedule: str, days_ago: float) -> None:
    """Records a tick of a schedule of a code location."""
    target = LoadableTargetOrigin(module_name="refersion_dagster.definitions")
    place = ManagedGrpcPythonEnvCodeLocationOrigin(target, location)
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(place, "__repository__"), schedule)
    state = InstigatorState(
        origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, ScheduleInstigatorData("0 3 * * *")
    )
    instance.add_instigator_state(state)
    ids = (state.instigator_origin_id, schedule, InstigatorType.SCHEDULE)
    moment = time.time() - 86_400 * days_ago
    instance.create_tick(TickData(*ids, TickStatus.SKIPPED, moment, selector_id=state.selector_id))

"""The activity sensor against the sandbox: it starts a run when something changed, and tells what it saw."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.automation import activity
from refersion_dagster.automation.activity import ActivityCursor, activity_sensor
from refersion_dagster.definitions import defs
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import Settings
from refersion_dagster_tests.location import SMALL, account_of, fresh_instance


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SMALL) as sandbox:
        yield sandbox


@pytest.fixture
def instance() -> Any:
    with fresh_instance() as instance:
        yield instance


class Sensor:
    """The sensor, tick by tick, as the daemon calls it."""

    def __init__(self, sandbox: SandboxServer, instance: dg.DagsterInstance) -> None:
        self.resources = {"refersion": account_of(sandbox)}
        self.instance = instance
        self.cursor: str | None = None

    def tick(self) -> tuple[list[dg.RunRequest], str]:
        """What it asks to start, and its reason to start nothing."""
        with dg.build_sensor_context(self.instance, cursor=self.cursor, resources=self.resources) as context:
            data = activity_sensor(Settings.of({})).evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return list(data.run_requests or []), data.skip_message or ""


@pytest.fixture
def sensor(sandbox: SandboxServer, instance: dg.DagsterInstance) -> Sensor:
    return Sensor(sandbox, instance)


class TestChanges:
    def test_the_first_look_starts_a_run_and_the_next_none(self, sensor: Sensor) -> None:
        started, _ = sensor.tick()
        assert [request.run_config for request in started] == [
            {"ops": {"refersion_tables": {"config": {"lookback_days": activity.WINDOW_DAYS}}}}
        ]
        assert dg.validate_run_config(defs.resolve_job_def("refersion_refresh"), started[0].run_config)
        nothing, reason = sensor.tick()
        assert not nothing
        assert reason.startswith("Nothing changed: ")
        assert "12 affiliates" in reason

    def test_a_new_conversion_starts_one(self, sensor: Sensor, sandbox: SandboxServer) -> None:
        sensor.tick()
        sandbox.insert_conversion(created=sandbox.now - timedelta(hours=1))
        started, _ = sensor.tick()
        assert len(started) == 1
        assert "conversions " in started[0].tags["refersion/why"]
        assert not sensor.tick()[0]

    def test_it_asks_by_two_requests(self, sensor: Sensor, sandbox: SandboxServer) -> None:
        sensor.tick()
        sandbox.forget_requests()
        sensor.tick()
        assert len(sandbox.requests()) == 2

    def test_a_clock_that_moved_on_to_another_day_starts_one(self, sensor: Sensor, sandbox: SandboxServer) -> None:
        sensor.tick()
        sandbox.advance(days=1)
        assert len(sensor.tick()[0]) == 1


class TestNoPile:
    def test_a_change_waits_for_a_run_that_goes_on_and_is_not_forgotten(
        self, sensor: Sensor, sandbox: SandboxServer, instance: dg.DagsterInstance
    ) -> None:
        sensor.tick()
        sandbox.insert_conversion(created=sandbox.now - timedelta(hours=1))
        job = defs.resolve_job_def("refersion_refresh")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        nothing, reason = sensor.tick()
        assert not nothing
        assert run.run_id in reason
        instance.report_run_canceled(run)
        assert len(sensor.tick()[0]) == 1


class TestRefersionIsDown:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(activity, "RETRY_SECONDS", 0)

    def test_it_tells_so_waits_longer_each_time_and_starts_nothing(
        self, sensor: Sensor, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sensor.tick()
        sandbox.fault("rest:/affiliate/list", "status", status=503, times=100)
        nothing, reason = sensor.tick()
        assert not nothing
        assert reason.startswith("Refersion did not answer; asking again after 0:10:00. /affiliate/list")
        sandbox.forget_requests()
        nothing, reason = sensor.tick()
        assert not nothing
        assert reason.startswith("Refersion did not answer 1 times; waiting until ")
        assert not sandbox.requests()
        assert ActivityCursor.read(sensor.cursor).seen is not None

    def test_it_goes_on_from_what_it_had_seen(self, sensor: Sensor, sandbox: SandboxServer) -> None:
        sensor.tick()
        sandbox.fault("rest:/affiliate/list", "status", status=503, times=1)
        sensor.tick()
        sandbox.clear_faults()
        held = ActivityCursor.read(sensor.cursor)
        sensor.cursor = ActivityCursor(held.seen, held.failures, None).write()
        nothing, reason = sensor.tick()
        assert not nothing
        assert reason.startswith("Nothing changed: ")
        assert ActivityCursor.read(sensor.cursor).failures == 0

    def test_wrong_keys_are_told_without_the_keys(self, sandbox: SandboxServer, instance: dg.DagsterInstance) -> None:
        sensor = Sensor(sandbox, instance)
        sensor.resources = {"refersion": account_of(sandbox, api_key="sec_wrong_0123456789")}
        nothing, reason = sensor.tick()
        assert not nothing
        assert "does not accept the credentials" in reason
        assert "sec_wrong" not in reason


def test_a_cursor_of_another_version_is_begun_anew() -> None:
    assert (
        ActivityCursor.read("not JSON")
        == ActivityCursor.read('{"was": 1}')
        == ActivityCursor.read(None)
        == ActivityCursor()
    )

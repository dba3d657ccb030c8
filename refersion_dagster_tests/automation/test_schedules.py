"""Schedules: when they tick, what a tick starts, and when it starts nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.automation.active_runs import LOST_AFTER, describe_active_run
from refersion_dagster.automation.schedules import schedules
from refersion_dagster.definitions import defs
from refersion_dagster.settings import Settings

AT = datetime(2026, 3, 29, 3, 0, tzinfo=UTC)


def named(name: str, **environment: str) -> dg.ScheduleDefinition:
    return next(schedule for schedule in schedules(Settings.of(environment)) if schedule.name == name)


def tick(name: str, instance: dg.DagsterInstance, **environment: str) -> Any:
    repository = defs.get_repository_def()
    with dg.build_schedule_context(instance, scheduled_execution_time=AT, repository_def=repository) as context:
        return named(name, **environment).evaluate_tick(context)


@pytest.fixture(scope="module")
def instance_on_disk() -> Iterator[dg.DagsterInstance]:
    """Schedules are given a reference to their instance, which one in memory does not have."""
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def instance(instance_on_disk: dg.DagsterInstance) -> Iterator[dg.DagsterInstance]:
    """Dagster without records."""
    yield instance_on_disk
    instance_on_disk.wipe()


class TestDefaults:
    def test_the_nightly_one_runs_and_the_others_wait_to_be_switched_on(self) -> None:
        running = [
            one.name for one in schedules(Settings.of({})) if one.default_status == dg.DefaultScheduleStatus.RUNNING
        ]
        assert running == ["refersion_nightly"]

    def test_they_are_in_the_code_location(self) -> None:
        names = {one.name for one in defs.get_repository_def().schedule_defs}
        assert names == {"refersion_hourly", "refersion_nightly", "refersion_weekly", "refersion_statements"}

    @pytest.mark.parametrize(
        ("name", "config"),
        [
            ("refersion_hourly", {"lookback_days": 3}),
            ("refersion_nightly", None),
            ("refersion_weekly", {"lookback_days": 730, "all_details": True}),
        ],
    )
    def test_each_refreshes_everything_with_its_own_look_back(
        self, instance: dg.DagsterInstance, name: str, config: dict[str, Any] | None
    ) -> None:
        (request,) = tick(name, instance).run_requests
        assert request.run_config == ({"ops": {"refersion_tables": {"config": config}}} if config else {})
        job = defs.resolve_job_def("refersion_refresh")
        assert dg.validate_run_config(job, request.run_config)


class TestSettings:
    def test_times_zone_and_look_backs_come_from_the_settings(self, instance: dg.DagsterInstance) -> None:
        given = {
            "REFERSION_HOURLY_CRON": "*/20 6-22 * * 1-5",
            "REFERSION_HOURLY_LOOKBACK_DAYS": "7",
            "REFERSION_SCHEDULE_TIMEZONE": "Europe/Berlin",
        }
        schedule = named("refersion_hourly", **given)
        assert (schedule.cron_schedule, schedule.execution_timezone) == ("*/20 6-22 * * 1-5", "Europe/Berlin")
        (request,) = tick("refersion_hourly", instance, **given).run_requests
        assert request.run_config["ops"]["refersion_tables"]["config"] == {"lookback_days": 7}

    def test_the_reporting_time_zone_stands_in_for_that_of_schedules(self) -> None:
        assert named("refersion_nightly", REFERSION_REPORT_TIMEZONE="Asia/Tokyo").execution_timezone == "Asia/Tokyo"

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("REFERSION_NIGHTLY_CRON", "at night"),
            ("REFERSION_NIGHTLY_CRON", "61 * * * *"),
            ("REFERSION_NIGHTLY_CRON", "0 0 3 * * *"),
            ("REFERSION_SCHEDULE_TIMEZONE", "Mars/Olympus"),
            ("REFERSION_HOURLY_LOOKBACK_DAYS", "three"),
            ("REFERSION_HOURLY_LOOKBACK_DAYS", "-1"),
        ],
    )
    def test_one_that_makes_no_sense_is_told_by_its_name(self, variable: str, value: str) -> None:
        """At its ticks: whatever else there is loads and works."""
        wrong = [
            one for one in schedules(Settings.of({variable: value})) if (one.description or "").startswith(variable)
        ]
        assert len(wrong) == (3 if "TIMEZONE" in variable else 1)
        for one in wrong:
            with pytest.raises(dg.DagsterError) as error:
                one.evaluate_tick(dg.build_schedule_context())
            assert str(error.value.__cause__) == one.description
            assert "; it has to be" in str(one.description)


class TestNoPile:
    @pytest.mark.exhaustive
    @pytest.mark.parametrize("name", ["refersion_hourly", "refersion_nightly", "refersion_weekly"])
    @pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    def test_a_tick_is_skipped_with_the_reason_while_a_run_goes_on(
        self, instance: dg.DagsterInstance, name: str, status: dg.DagsterRunStatus
    ) -> None:
        run = instance.create_run_for_job(defs.resolve_job_def("refersion_refresh"), status=status)
        skipped = tick(name, instance)
        assert not skipped.run_requests
        assert run.run_id in skipped.skip_message
        assert "refersion_refresh" in skipped.skip_message

    def test_a_run_of_assets_counts_and_one_of_others_does_not(self, instance: dg.DagsterInstance) -> None:
        @dg.op
        def nothing() -> None: ...

        @dg.job
        def somebody_elses() -> None:
            nothing()

        instance.create_run_for_job(somebody_elses, status=dg.DagsterRunStatus.STARTED)
        assert tick("refersion_hourly", instance).run_requests
        job = defs.get_implicit_global_asset_job_def()
        chosen = {dg.AssetKey(["refersion", "offers"])}
        instance.create_run_for_job(
            job.get_subset(asset_selection=chosen),
            asset_selection=frozenset(chosen),
            status=dg.DagsterRunStatus.STARTED,
        )
        assert not tick("refersion_hourly", instance).run_requests

    @pytest.mark.exhaustive
    def test_after_the_run_ended_the_next_tick_starts_one(self, instance: dg.DagsterInstance) -> None:
        for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
            instance.create_run_for_job(defs.resolve_job_def("refersion_refresh"), status=status)
        assert tick("refersion_hourly", instance).run_requests

    @pytest.mark.exhaustive
    def test_a_run_that_was_killed_holds_nobody_up_for_ever(self, instance: dg.DagsterInstance) -> None:
        run = instance.create_run_for_job(defs.resolve_job_def("refersion_refresh"), status=dg.DagsterRunStatus.STARTED)
        instance.report_engine_event("reading", run)
        later = datetime.now(UTC) + LOST_AFTER
        assert describe_active_run(instance, later - timedelta(minutes=1))
        assert describe_active_run(instance, later + timedelta(minutes=1)) is None

    @pytest.mark.exhaustive
    def test_a_run_that_has_yet_to_begin_is_not_lost(self, instance: dg.DagsterInstance) -> None:
        job = defs.resolve_job_def("refersion_refresh")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.NOT_STARTED)
        instance.report_engine_event("waiting", run)
        assert describe_active_run(instance, datetime.now(UTC) + 2 * LOST_AFTER)

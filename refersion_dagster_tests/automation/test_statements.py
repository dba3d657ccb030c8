"""The monthly schedule of the statements: off by default, and of the month that ended."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from refersion_dagster.automation.statements import month_before, statements_schedule
from refersion_dagster.definitions import defs
from refersion_dagster.settings import Settings
from refersion_dagster_tests.location import fresh_instance


def test_it_is_off_until_it_is_switched_on_and_ticks_on_the_day_after_the_month() -> None:
    schedule = statements_schedule(Settings.of({}))
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 1 * *", "UTC")


def test_times_come_from_the_settings_and_months_end_in_the_reporting_time_zone() -> None:
    given = {
        "REFERSION_STATEMENTS_CRON": "30 7 2 * *",
        "REFERSION_REPORT_TIMEZONE": "Asia/Tokyo",
        "REFERSION_SCHEDULE_TIMEZONE": "America/New_York",
    }
    schedule = statements_schedule(Settings.of(given))
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 7 2 * *", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REFERSION_STATEMENTS_CRON", "monthly"), ("REFERSION_REPORT_TIMEZONE", "Mars/Olympus")],
)
def test_a_setting_that_makes_no_sense_is_told_by_its_name(variable: str, value: str) -> None:
    wrong = statements_schedule(Settings.of({variable: value}))
    assert (wrong.description or "").startswith(f"{variable} is '{value}'; it has to be")
    with pytest.raises(dg.DagsterError):
        wrong.evaluate_tick(dg.build_schedule_context())


@pytest.mark.parametrize("busy", [False, True])
def test_a_tick_asks_for_the_month_that_ended_even_while_another_run_goes_on(busy: bool) -> None:
    job = defs.resolve_job_def("refersion_statements")
    with fresh_instance() as instance:
        if busy:
            status = dg.DagsterRunStatus.STARTED
            instance.create_run_for_job(defs.resolve_job_def("refersion_refresh"), status=status)
        at = datetime(2026, 1, 1, 6, tzinfo=UTC)
        with dg.build_schedule_context(
            instance, scheduled_execution_time=at, repository_def=defs.get_repository_def()
        ) as context:
            requests = statements_schedule(Settings.of({})).evaluate_tick(context).run_requests
    assert requests
    (request,) = requests
    assert request.run_config == {"ops": {"report__statements": {"config": {"month": "2025-12"}}}}
    assert dg.validate_run_config(job, request.run_config)


@pytest.mark.parametrize(
    ("moment", "zone", "month"),
    [
        (datetime(2026, 3, 1, 5, 30, tzinfo=UTC), "UTC", date(2026, 2, 1)),
        (datetime(2026, 3, 1, 4, 30, tzinfo=UTC), "America/New_York", date(2026, 1, 1)),
        (datetime(2026, 2, 28, 20, 0, tzinfo=UTC), "Asia/Tokyo", date(2026, 2, 1)),
        (datetime(2026, 1, 31, 12, 0, tzinfo=UTC), "UTC", date(2025, 12, 1)),
    ],
)
def test_the_month_that_ended_is_that_of_the_zones_clocks(moment: datetime, zone: str, month: date) -> None:
    assert month_before(moment, zone) == month

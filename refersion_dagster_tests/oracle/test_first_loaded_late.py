"""An account that is first loaded after fourteen months of changes, and then every night over the end of a month."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.oracle.course import ZONES, Course
from refersion_dagster_tests.oracle.figures import Shown
from refersion_dagster_tests.oracle.judgement import Verdicts
from refersion_dagster_tests.oracle.life import CHANGES, CURRENCIES
from refersion_dagster_tests.oracle.places import PLACES, closings

pytestmark = pytest.mark.exhaustive

Judged = dict[str, tuple[Shown, Verdicts]]
BEGIN, LOADED = datetime(2025, 1, 30, 3, tzinfo=UTC), datetime(2026, 3, 30, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    settings = SandboxSettings(affiliates=8, orders=60, days=60, now=BEGIN, currencies=CURRENCIES, event_log=True)
    with SandboxServer(settings) as sandbox:
        course = Course(sandbox, tmp_path_factory.mktemp("late"), 120)
        for week in range(1, 60):
            course.life.go_on_to(BEGIN + timedelta(days=7 * week), 4)
        course.refresh_at(LOADED)
        for day in (1, 2, 3):
            course.refresh_at(LOADED + timedelta(days=day), 3, old=False)
        assert {change for change, _ in course.life.done} == set(CHANGES)
        assert course.stale() == {}
        yield {zone: course.judge(zone) for zone in ZONES}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_is_shown_is_wrong(judged: Judged, zone: str, place: str) -> None:
    assert judged[zone][1].wrong_in(place) == []


@pytest.mark.parametrize("zone", ZONES)
def test_no_month_before_the_first_reading_is_a_fact(judged: Judged, zone: str) -> None:
    assert closings(judged[zone][0], "roll-forward").keys() <= {date(2026, 3, 1), date(2026, 4, 1)}

"""Accounts that are refreshed every night, or every week, across the end of a month, with changes of all kinds of rows.

All rows are within the look-back window. Not covered here, because figures are wrong there or were when this was
written:

- changes of rows from before the look-back window, and rows whose date is edited to before it, which are lost;
- payments that were undone and entered again between two readings: conversion_history stores no payment, so the first
  one stays in the paid amount.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.oracle.course import ZONES, Course
from refersion_dagster_tests.oracle.figures import Shown
from refersion_dagster_tests.oracle.judgement import Verdicts
from refersion_dagster_tests.oracle.life import CURRENCIES
from refersion_dagster_tests.oracle.places import PLACES, closings

pytestmark = pytest.mark.exhaustive

Judged = dict[str, tuple[Shown, Verdicts]]
WITHOUT = frozenset({"payment entered again", "dated anew"})
FIRST = datetime(2025, 1, 29, 3, tzinfo=UTC)
JANUARY, FEBRUARY = date(2025, 1, 1), date(2025, 2, 1)


def lived(tmp_path_factory: pytest.TempPathFactory, days: list[int], changes: int) -> Judged:
    """Refreshes on these days after the first one, with `changes` changes before each."""
    settings = SandboxSettings(affiliates=8, orders=240, days=150, now=FIRST, currencies=CURRENCIES, event_log=True)
    with SandboxServer(settings) as sandbox:
        course = Course(sandbox, tmp_path_factory.mktemp("course"), 400, WITHOUT)
        course.refresh()
        for day in days:
            course.refresh_at(FIRST + timedelta(days=day), changes)
        assert course.stale() == {}
        assert len(course.life.done) >= 40
        return {zone: course.judge(zone) for zone in ZONES}


@pytest.fixture(scope="module")
def nightly(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return lived(tmp_path_factory, [1, 2, 3, 4, 5], 12)


@pytest.fixture(scope="module")
def weekly(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return lived(tmp_path_factory, [7, 14, 21, 28, 35], 12)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_is_shown_nightly_is_wrong(nightly: Judged, zone: str, place: str) -> None:
    assert nightly[zone][1].wrong_in(place) == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_is_shown_weekly_is_wrong(weekly: Judged, zone: str, place: str) -> None:
    assert weekly[zone][1].wrong_in(place) == []


@pytest.mark.parametrize("zone", ZONES)
def test_the_month_whose_end_was_seen_is_known(nightly: Judged, zone: str) -> None:
    """Otherwise figures that are all NULL would pass too."""
    found = closings(nightly[zone][0], "roll-forward")
    assert found.keys() <= {JANUARY, FEBRUARY}
    assert found.get(JANUARY, 0) >= 1


@pytest.mark.parametrize("zone", ZONES)
def test_of_months_that_were_read_weekly_none_is_a_fact(weekly: Judged, zone: str) -> None:
    assert closings(weekly[zone][0], "roll-forward").keys() <= {weekly[zone][0].running}

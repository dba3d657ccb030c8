"""What is read again after events: few spans that cover every affected day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from refersion_dagster.ingest.webhooks.scope import MOST_SPANS, AffectedScope, spans


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ends(*days: str) -> list[tuple[datetime, datetime]]:
    return [(span.start, span.end) for span in spans(map(date.fromisoformat, days))]


def test_a_day_is_read_with_the_one_before_and_after_as_events_name_no_time_zone() -> None:
    assert ends("2026-02-28") == [(at("2026-02-27"), at("2026-03-02"))]


def test_no_day_is_no_span() -> None:
    assert ends() == []


def test_days_near_each_other_share_a_span_and_others_do_not() -> None:
    assert ends("2026-05-20", "2026-05-01", "2026-05-04") == [
        (at("2026-04-30"), at("2026-05-06")),
        (at("2026-05-19"), at("2026-05-22")),
    ]


@pytest.mark.parametrize("count", [1, 5, 60, 700])
def test_however_many_days_there_are_the_spans_are_few_and_hold_them_all(count: int) -> None:
    days = [date(2024, 1, 1) + timedelta(days=11 * number % 2_000) for number in range(count)]
    found = spans(days)
    assert len(found) <= MOST_SPANS
    assert all(earlier.end < later.start for earlier, later in pairwise(found))
    for day in days:
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        assert any(span.start <= moment < span.end for span in found)


def test_the_widest_gaps_are_left_out() -> None:
    assert ends("2020-01-01", "2021-01-01", "2021-02-01", "2023-01-01", "2026-01-01") == [
        (at("2019-12-31"), at("2020-01-03")),
        (at("2020-12-31"), at("2021-02-03")),
        (at("2022-12-31"), at("2023-01-03")),
        (at("2025-12-31"), at("2026-01-03")),
    ]


def test_only_what_the_events_concern_is_read() -> None:
    assert AffectedScope().readings() == []
    changed = AffectedScope(affiliates={"37567438", "a3y7"})
    assert [str(reading) for reading in changed.readings()] == ["affiliate_list, affiliate_get, affiliates whole"]
    paid = AffectedScope(payments={date(2026, 7, 15)}, conversions={date(2026, 5, 1), date(2026, 6, 10)})
    assert [(reading.tables, reading.span and reading.span.start) for reading in paid.readings()] == [
        (("payments",), at("2026-07-14")),
        (("conversions",), at("2026-04-30")),
        (("conversions",), at("2026-06-09")),
    ]

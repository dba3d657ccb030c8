"""What a run should read: texts become times, and contradictory requests are rejected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from refersion_dagster.refersion import LoadRequest, refersion_source
from refersion_dagster.refersion.extract.incremental import SpanRequest
from refersion_dagster.refersion.resources import ReadOptions
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.refersion.tables.privacy import PersonalData
from refersion_dagster.refersion.windows import Window

START = datetime(2025, 1, 1, tzinfo=UTC)
MARCH, APRIL, MAY = (datetime(2025, month, 1, tzinfo=UTC) for month in (3, 4, 5))


def test_texts_are_moments_in_utc() -> None:
    request = LoadRequest.from_texts("2025-03-01", "2025-04-01T02:00:00+02:00", lookback_days=3)
    assert request == LoadRequest(lookback_days=3, read_from=MARCH, read_to=APRIL)
    assert LoadRequest.from_texts(None, "") == LoadRequest()


@pytest.mark.parametrize(
    ("read_from", "read_to", "full_reload", "said"),
    [
        ("2025-04-01", "2025-03-01", False, "read_from (2025-04-01) has to be before read_to (2025-03-01)"),
        ("2025-04-01T08:30:00Z", "2025-04-01", False, "read_from (2025-04-01T08:30:00Z) has to be before"),
        ("2025-04-01", "2025-04-01", False, "has to be before"),
        ("2025-04-01", None, True, "full_reload reads everything"),
        (None, "2025-04-01", True, "full_reload reads everything"),
        ("yesterday", None, False, "'yesterday' is not a date"),
    ],
)
def test_a_contradiction_is_refused_by_the_request_and_by_the_source(
    read_from: str | None, read_to: str | None, full_reload: bool, said: str
) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its words are compared
        LoadRequest.from_texts(read_from, read_to, full_reload=full_reload)
    assert said in str(refused.value)
    with pytest.raises(ValueError) as by_source:  # noqa: PT011
        refersion_source(read_from=read_from, read_to=read_to, full_reload=full_reload)
    assert str(by_source.value) == str(refused.value)


def test_only_a_run_without_a_range_looks_back() -> None:
    assert LoadRequest().looks_back
    assert LoadRequest(lookback_days=0, all_details=True).looks_back
    assert not LoadRequest(read_from=MARCH).looks_back
    assert not LoadRequest(read_to=MARCH).looks_back
    assert not LoadRequest(full_reload=True).looks_back


def test_its_look_back_wins_over_that_of_the_settings() -> None:
    assert LoadRequest().lookback(120) == timedelta(days=120)
    assert LoadRequest(lookback_days=0).lookback(120) == timedelta(0)


def test_a_span_has_what_the_settings_say_and_what_is_asked() -> None:
    earlier = (Window(MARCH, APRIL),)
    assert LoadRequest(lookback_days=3, earlier_windows=earlier).span(START, 120) == SpanRequest(
        start=START, lookback=timedelta(days=3), also=earlier
    )
    assert LoadRequest(read_from=MARCH, read_to=MAY).span(START, 120) == SpanRequest(
        start=START, read_from=MARCH, read_to=MAY
    )
    assert LoadRequest(full_reload=True).span(START, 120) == SpanRequest(start=START, full=True)


def test_windows_take_the_place_of_a_range() -> None:
    windows = [Window(APRIL, MAY), Window(MARCH, APRIL)]
    request = LoadRequest(all_payments=True, older_totals=True).with_windows(windows)
    assert (request.all_payments, request.older_totals) == (False, True)
    span = request.span(START, 120)
    assert (span.read_from, span.read_to, span.only) == (MARCH, MAY, (Window(MARCH, APRIL), Window(APRIL, MAY)))


def read_whole(request: LoadRequest) -> set[str]:
    """Tables that a request has read from the start again."""
    options = ReadOptions(
        request=request,
        span=request.span(START, 120),
        personal=PersonalData.DROP,
        salt=None,
        totals_by="month",
        totals_of_loaded=False,
        rows_per_load=None,
    )
    return {name for name, entity in ENTITIES.items() if options.span_of(entity).full}


def test_payments_alone_are_read_whole_where_a_run_asks_for_it_and_not_in_a_range() -> None:
    assert read_whole(LoadRequest()) == set()
    assert read_whole(LoadRequest(all_payments=True)) == {"payments"}
    assert read_whole(LoadRequest(all_payments=True, read_from=MARCH)) == set()
    assert read_whole(LoadRequest(full_reload=True)) == set(ENTITIES)

"""What names of exported files say, and what is refused because they do not say it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from refersion_dagster.refersion.errors import UnusableExport
from refersion_dagster.refersion.exports.folder import check_coverage, find_gaps, list_exports
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.extract.stats import ReadSpan
from refersion_dagster_tests.exports.files import ROWS, text, write

UTC_ZONE = ZoneInfo("UTC")
NEW_YORK = ZoneInfo("America/New_York")


def moment(day: int, hour: int = 0, month: int = 6) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def span(start: datetime, end: datetime, made_at: datetime | None = None) -> ReadSpan:
    return ReadSpan(start, end, made_at or end)


@pytest.mark.parametrize(
    "name",
    [
        "conversions 2026-07-01 0930.csv",
        "Conversions_2026-07-01_09.30.csv",
        "conversions-2026-07-01T09:30:00.csv",
        "conversions 2026-07-01 0930 (1).CSV",
        "conversions 2026-07-01 093000.csv",
    ],
)
def test_a_name_says_when_it_was_exported(tmp_path: Path, name: str) -> None:
    write(tmp_path, text(), name)
    (file,) = list_exports(tmp_path, NEW_YORK)
    assert file.made_at == datetime(2026, 7, 1, 13, 30, tzinfo=UTC)
    assert (file.start, file.end) == (BEGINNING, file.made_at + timedelta(seconds=1))


def test_a_name_may_say_the_period_in_whole_days_of_the_time_zone(tmp_path: Path) -> None:
    write(tmp_path, text(), "conversions from 2026-06-01 to 2026-06-15 2026-07-01 0930.csv")
    write(tmp_path, text(), "conversions from 2026-06-16 2026-07-01 0930.csv")
    first, second = list_exports(tmp_path, NEW_YORK)
    assert (first.start, first.end) == (moment(1, 4), moment(16, 4))
    assert (second.start, second.end) == (moment(16, 4), datetime(2026, 7, 1, 13, 30, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("report.csv", "does not say what it holds and when it was exported"),
        ("conversions.csv", "does not say what it holds"),
        ("conversions 2026-07-01.csv", "does not say what it holds"),
        ("payments 2026-07-01 0930.csv", "does not say what it holds"),
        ("conversions 2026-02-30 0930.csv", "impossible date"),
        ("conversions 2026-07-01 2530.csv", "impossible date"),
        ("conversions 2199-07-01 0930.csv", "in the future"),
        ("conversions to 2026-06-01 2026-07-01 0930.csv", "the end of a period, but no start"),
        ("conversions from 2026-06-09 to 2026-06-01 2026-07-01 0930.csv", "ends before it begins"),
        ("affiliates from 2026-06-01 2026-07-01 0930.csv", "lists all of them"),
    ],
)
def test_a_name_that_leaves_something_open_is_refused(tmp_path: Path, name: str, said: str) -> None:
    write(tmp_path, text(), name)
    with pytest.raises(UnusableExport, match=said):
        list_exports(tmp_path, UTC_ZONE)


def test_the_error_suggests_when_a_file_was_last_changed(tmp_path: Path) -> None:
    write(tmp_path, text(), "report.csv")
    with pytest.raises(UnusableExport, match=r"last changed on \d{4}-\d\d-\d\d at \d{4}"):
        list_exports(tmp_path, UTC_ZONE)


def test_the_same_file_twice_is_one(tmp_path: Path) -> None:
    write(tmp_path, text(), "conversions 2026-07-01 0930.csv")
    write(tmp_path, text(), "conversions 2026-07-01 0930 (1).csv")
    assert len(list_exports(tmp_path, UTC_ZONE)) == 1


def test_two_files_of_one_time_need_an_order_only_if_they_cover_the_same(tmp_path: Path) -> None:
    write(tmp_path, text(), "conversions from 2026-06-01 to 2026-06-15 2026-07-01 0930.csv")
    write(tmp_path, text(), "conversions from 2026-06-16 2026-07-01 0930.csv")
    assert len(list_exports(tmp_path, UTC_ZONE)) == 2
    write(tmp_path, text(), "conversions 2026-07-01 0930.csv")
    with pytest.raises(UnusableExport, match="not known which is later"):
        list_exports(tmp_path, UTC_ZONE)


def test_a_folder_without_exports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableExport, match="has no CSV file"):
        list_exports(tmp_path, UTC_ZONE)
    with pytest.raises(UnusableExport, match="cannot be read"):
        list_exports(tmp_path / "nothing", UTC_ZONE)


def test_files_in_order_of_export(tmp_path: Path) -> None:
    for name in (
        "conversions 2026-07-02 0930.csv",
        "affiliates 2026-07-01 1000.csv",
        "conversions 2026-07-01 0930.csv",
    ):
        write(tmp_path, text(), name)
    assert [file.made_at.day for file in list_exports(tmp_path, UTC_ZONE)] == [1, 1, 2]


def test_days_that_no_export_covers_are_named() -> None:
    spans = [span(moment(1), moment(10), moment(20)), span(moment(13), moment(20))]
    assert find_gaps(spans) == [(moment(10), moment(13))]
    with pytest.raises(UnusableExport, match="from 2026-06-10 00:00 to 2026-06-12 23:59"):
        check_coverage(spans, UTC_ZONE)
    with pytest.raises(UnusableExport, match="to 2026-06-12 23:59 and from 2026-06-20 00:00 to 2026-06-24 23:59"):
        check_coverage([*spans, span(moment(25), moment(30))], UTC_ZONE)
    check_coverage([*spans, span(moment(5), moment(14))], UTC_ZONE)


def test_what_was_made_since_the_last_covered_day_is_missing_too() -> None:
    assert find_gaps([span(moment(1), moment(10), moment(20))]) == [(moment(10), moment(20))]
    assert not find_gaps([span(moment(1), moment(10), moment(10, 20))])
    assert not find_gaps([])


def test_performance_reports_of_a_month_and_of_its_year_may_have_one_time(tmp_path: Path) -> None:
    write(tmp_path, text(), "performance from 2026-06-01 to 2026-06-30 2026-07-01 0930.csv")
    write(tmp_path, text(), "performance from 2026-01-01 to 2026-06-30 2026-07-01 0930.csv")
    assert len(list_exports(tmp_path, UTC_ZONE)) == 2
    write(tmp_path, text(ROWS[0]), "performance_from_2026-06-01_to_2026-06-30_2026-07-01 0930.csv")
    with pytest.raises(UnusableExport, match="not known which is later"):
        list_exports(tmp_path, UTC_ZONE)

"""Daily files and the newest file are always complete, whatever happens while they are written."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import pytest

from refersion_dagster.report.daily_files import keep

JUNE, JULY = date(2025, 6, 30), date(2025, 7, 1)


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.is_file()}


def test_one_is_kept_for_each_day_and_the_newest_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "it's reports"
    keep(folder, "commissions", JUNE, "june")
    keep(folder, "commissions", JULY, "first")
    kept = keep(folder, "commissions", JULY, "Ünicode")
    assert contents(folder) == {
        "commissions-2025-06-30.html": "june",
        "commissions-2025-07-01.html": "Ünicode",
        "latest.html": "Ünicode",
    }
    assert (kept.of_day.name, kept.latest.name) == ("commissions-2025-07-01.html", "latest.html")


def test_the_group_may_read_them_and_nobody_else(tmp_path: Path) -> None:
    kept = keep(tmp_path / "reports", "commissions", JULY, "x")
    assert {file.stat().st_mode & 0o777 for file in (kept.of_day, kept.latest)} == {0o640}
    assert (tmp_path / "reports").stat().st_mode & 0o777 == 0o750


def test_one_that_cannot_be_written_leaves_the_others_and_no_leftover(tmp_path: Path) -> None:
    keep(tmp_path, "commissions", JUNE, "june")
    (tmp_path / "latest.html").unlink()
    (tmp_path / "latest.html").mkdir()
    with pytest.raises(OSError, match=r"latest\.html"):
        keep(tmp_path, "commissions", JULY, "july")
    assert contents(tmp_path) == {"commissions-2025-06-30.html": "june", "commissions-2025-07-01.html": "july"}


def test_a_reader_meets_whole_files_only(tmp_path: Path) -> None:
    whole = {letter * 500_000 for letter in "ab"}
    keep(tmp_path, "commissions", JULY, "a" * 500_000)
    seen, done = set[str](), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add((tmp_path / "latest.html").read_text("utf-8"))

    reader = threading.Thread(target=read)
    reader.start()
    for letter in "ba" * 20:
        keep(tmp_path, "commissions", JULY, letter * 500_000)
    done.set()
    reader.join()
    assert seen <= whole
    assert seen

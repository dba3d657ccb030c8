"""`refersion-dagster statements` as a process: its result, or one sentence that says why there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from refersion_dagster_tests.location import Location
from refersion_dagster_tests.report.statements.statement_helpers import READ
from refersion_dagster_tests.summaries.builders import WarehouseBuilder, affiliate, day, order

pytestmark = pytest.mark.processes

COMMAND = ("refersion-dagster", "statements")


@pytest.fixture(scope="module")
def location(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Location:
    """Books of one affiliate, read until after the end of March; no Refersion key is set."""
    location = Location.of(tmp_path_factory.mktemp("books"))
    shutil.copy(empty_raw_tables, location.database)
    books = WarehouseBuilder(location.database)
    books.add("affiliates", affiliate(1, name="Ann"))
    books.watched(order(1, "100", "10.25", created=day(10, 2)))
    books.build(*READ)
    return location


def test_what_was_made_is_told_with_its_place(location: Location) -> None:
    ended = location.run(*COMMAND, "--month", "2025-03")
    index = location.folder / "refersion_reports" / "statements" / "2025-03" / "index.html"
    assert ended.code == 0, ended.output
    assert ended.output.splitlines() == ["  ✓ 2025-03: 1 statement of 1 affiliate", f"Index: {index}"]
    assert index.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--month", "2020-01"), "2020-01"),
        (("--month", "13"), "month is '13'; it has to be YYYY-MM"),
        (("--affiliate", "nobody"), "Affiliate 'nobody' has no statement of"),
    ],
)
def test_a_refusal_is_one_sentence_and_exit_code_1(location: Location, options: tuple[str, ...], said: str) -> None:
    ended = location.run(*COMMAND, *options)
    assert ended.code == 1
    reason, verdict = ended.output.splitlines()
    assert reason.startswith("  ✗ ")
    assert said in reason
    assert verdict.startswith("No statement was written (run ")


def test_nothing_to_state_is_told_before_a_file_is_made(tmp_path: Path) -> None:
    ended = Location.of(tmp_path).run(*COMMAND)
    assert ended.code == 1
    assert "Run refersion_refresh first" in ended.output
    assert "Traceback" not in ended.output
    assert not (tmp_path / "refersion_reports").exists()
    assert not list(tmp_path.glob("warehouse.duckdb*"))

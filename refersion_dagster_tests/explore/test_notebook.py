"""The notebook over the published copies, run by marimo itself."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

from refersion_dagster.explore.cli import NOTEBOOK
from refersion_dagster.explore.published import NothingPublished, PublishedCopies, published_folder, without_links
from refersion_dagster.report.publish import publish
from refersion_dagster.settings import Settings
from refersion_dagster_tests.location import Location
from refersion_dagster_tests.processes import soon, with_variable
from refersion_dagster_tests.summaries.builders import (
    D,
    WarehouseBuilder,
    affiliate,
    all_summaries,
    day,
    order,
    paid,
)

pytestmark = pytest.mark.processes

RUN = "1a2b3c4d-0000-0000-0000-000000000000"
MARCH, APRIL = (day(1, month).date() for month in (3, 4))

needs_marimo = pytest.mark.skipif(find_spec("marimo") is None, reason="marimo is not installed (extra `explore`)")


@pytest.fixture(scope="module")
def published(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of two affiliates in two currencies."""
    folder = tmp_path_factory.mktemp("books")
    books = WarehouseBuilder(Path(shutil.copy(empty_raw_tables, folder / "warehouse.duckdb")))
    books.add("affiliates", affiliate(1, name="Ann <b>of</b> https://evil.example"))
    books.conversions(
        order(1, "1234.50", "10.25"),
        paid(2, "200", "20"),
        order(3, "300", "30", "PENDING", created=day(1, 4), affiliate_id="2"),
        order(4, "400", "40", "DENIED"),
        order(5, "7000", "700", currency="JPY"),
    )
    books.build(*(summary.name for summary in all_summaries()))
    with books.warehouse.session() as session:
        publish(session, all_summaries(), folder / "published", RUN)
    return folder / "published"


def exported(location: Location) -> str:
    """The notebook as a page, of a copy: marimo leaves what it showed beside the notebook's file."""
    copy, page = location.folder / "notebook.py", location.folder / "page.html"
    shutil.copy(NOTEBOOK, copy)
    ended = location.run("python", "-m", "marimo", "export", "html", str(copy), "-o", str(page), "--no-include-code")
    assert "Traceback" not in ended.output
    return page.read_text("utf-8")


class TestFigures:
    def test_of_affiliates_are_those_of_the_months_that_were_picked(self, published: Path) -> None:
        copies = PublishedCopies(published)
        assert copies.top_affiliates("USD", MARCH, MARCH, 10) == [
            {
                "affiliate": "Ann <b>of</b> https://evil.example",
                "id": "1",
                "orders": 2,
                "sales": D("1434.5"),
                "pending": D("0"),
                "due": D("10.25"),
                "paid": D("20"),
            }
        ]
        assert [row["affiliate"] for row in copies.top_affiliates("USD", MARCH, APRIL, 10)] == [
            "Ann <b>of</b> https://evil.example",
            "2",
        ]
        assert len(copies.top_affiliates("USD", MARCH, APRIL, 1)) == 1

    def test_of_months_and_of_what_is_owed_are_those_of_the_summaries(self, published: Path) -> None:
        copies = PublishedCopies(published)
        assert copies.currencies() == ["USD", "JPY"]
        assert copies.months() == [MARCH, APRIL]
        over_time = copies.over_time("USD", MARCH, APRIL)
        assert [(row["month"], row["sales"], row["is_complete"]) for row in over_time] == [
            (MARCH, D("1434.5"), True),
            (APRIL, D("300"), False),
        ]
        assert [(row["due"], row["pending"]) for row in copies.owed("USD")] == [(D("10.25"), D("0")), (D("0"), D("30"))]
        assert copies.cohorts("USD", MARCH, APRIL) == [
            {"first sale": MARCH, "affiliates": 1, "+0": "100 %", "+1": "0 %"},
            {"first sale": APRIL, "affiliates": 1, "+0": "100 %", "+1": ""},
        ]

    def test_are_there_for_sql_of_ones_own_and_cannot_be_changed(self, published: Path) -> None:
        connection = PublishedCopies(published).connection
        assert connection.execute("SELECT count(*) FROM conversions").fetchall() == [(5,)]
        with pytest.raises(Exception, match="read-only"):
            connection.execute("DELETE FROM conversions")

    def test_are_none_where_nothing_is_published(self, tmp_path: Path) -> None:
        with pytest.raises(NothingPublished, match=r"Nothing is published in .* yet\. Run the job refersion_refresh"):
            PublishedCopies(tmp_path)

    def test_come_from_the_folder_that_is_set(self) -> None:
        assert published_folder(Settings.of({}).outputs) == Path("refersion_published").resolve()
        elsewhere = Settings.of({"REFERSION_PUBLISH_PATH": "/somewhere/else"}).outputs
        assert published_folder(elsewhere) == Path("/somewhere/else")


def test_an_address_in_a_name_is_no_link() -> None:
    assert re.search(r"https?://|www\.", without_links("https://evil.example www.evil.example")) is None


@needs_marimo
class TestNotebook:
    def test_is_as_marimo_wants_notebooks(self, tmp_path: Path) -> None:
        ended = Location.of(tmp_path).run("python", "-m", "marimo", "check", "--strict", str(NOTEBOOK))
        assert ended.code == 0, ended.output

    def test_shows_the_figures(self, tmp_path: Path, published: Path) -> None:
        text = exported(Location.of(tmp_path).with_settings(REFERSION_PUBLISH_PATH=str(published)))
        for shown in ("Who drove the sales", "1,434.50", "10.25", "300.00", "Sales and commission, USD", "+1", "100 %"):
            assert shown in text, shown
        assert "Traceback" not in text

    def test_says_what_to_do_where_nothing_is_published(self, tmp_path: Path) -> None:
        text = exported(Location.of(tmp_path))
        assert "Nothing is published in" in text
        assert "Run the job refersion_refresh" in text

    def test_runs_as_a_script_with_whatever_is_published(self, tmp_path: Path, published: Path) -> None:
        location = Location.of(tmp_path)
        assert location.run("python", str(NOTEBOOK)).code == 0
        ended = location.with_settings(REFERSION_PUBLISH_PATH=str(published)).run("python", str(NOTEBOOK))
        assert ended.code == 0, ended.output

    def test_opens_by_a_command_which_leaves_no_process_and_nothing_beside_the_package(
        self, tmp_path: Path, published: Path
    ) -> None:
        location = Location.of(tmp_path).with_settings(REFERSION_PUBLISH_PATH=str(published))
        before = sorted(NOTEBOOK.parent.rglob("*.json"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = location.start("refersion-dagster", "explore", "--headless", "--port", str(port))
        try:
            assert soon(lambda: answers(f"http://127.0.0.1:{port}/"), seconds=30, every=0.1)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(20)
        assert soon(lambda: with_variable("HOME", location.environment["HOME"]) == [])
        assert sorted(NOTEBOOK.parent.rglob("*.json")) == before

    def test_a_copy_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        ended = Location.of(tmp_path).run("refersion-dagster", "explore", "--edit", str(tmp_path / "no" / "copy.py"))
        assert ended.code == 1
        assert "could not be written" in ended.output


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False

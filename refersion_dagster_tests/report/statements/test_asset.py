"""The asset `report/statements`: the files it writes for each affiliate, and when it writes nothing."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Mapping
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.definitions import defs
from refersion_dagster.report.resource import Reports
from refersion_dagster.report.statements.asset import KEPT, statements_asset
from refersion_dagster.report.statements.file_names import file_name
from refersion_dagster.report.statements.pages import MOST_SHOWN
from refersion_dagster_tests.location import Outcome, fresh_instance, held_open, outcome
from refersion_dagster_tests.report.statements.statement_helpers import READ
from refersion_dagster_tests.summaries.builders import (
    D,
    WarehouseBuilder,
    affiliate,
    cancellation,
    credit,
    day,
    order,
    paid,
)

MOVEMENTS = ("earned", "approved", "adjustments", "reversed", "paid")
SCRIPT, FORMULA = "<script>alert(1)</script>", "=cmd()"
HASHES = ("hash-of-a-customers-email", "hash-of-a-customers-ip")


@pytest.fixture(scope="module")
def built(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Books of four affiliates: one is deleted, one has only a balance. The last month that has ended is March."""
    database = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("books")))
    books = WarehouseBuilder(database)
    books.add(
        "affiliates",
        affiliate(1, name=SCRIPT),
        affiliate(2, name=FORMULA, email="second@example.com"),
        affiliate(3, name="Quiet"),
    )
    personal = {"customer__email": HASHES[0], "customer__browser_ip": HASHES[1], "click__ip": HASHES[1]}
    books.watched(
        order(1, "100", "10.25", created=day(10, 2), **personal),
        order(2, "200", "20", "PENDING", order_id="-1+2"),
        cancellation(3, 1, "-100", "-10.25"),
        credit(4, "-3.5"),
        paid(5, "7000", "700", currency="JPY", created=day(5, 2)),
        order(6, "300", "30", affiliate_id="2", order_id="only-of-the-second"),
        order(7, "400", "40", affiliate_id="3", created=day(1, 1)),
        order(8, "500", "50", affiliate_id=None, affiliate__email="Gone@Example.com", affiliate__name="Gone, Ltd."),
        order(9, "600", "60", created=day(1, 4)),
    )
    books.build(*READ)
    return database


@pytest.fixture
def books(built: Path, tmp_path: Path) -> Iterator[WarehouseBuilder]:
    with held_open(Path(shutil.copy(built, tmp_path))) as database:
        yield WarehouseBuilder(database)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def make(books: WarehouseBuilder, reports: Path, merchant: Mapping[str, str] | None = None, **config: Any) -> Outcome:
    with fresh_instance() as instance:
        result = dg.materialize(
            [statements_asset()],
            resources={"warehouse": books.warehouse, "reports": Reports(folder=str(reports), **(merchant or {}))},
            run_config={"ops": {"report__statements": {"config": config}}},
            instance=instance,
            raise_on_error=False,
        )
        return outcome(instance, result.run_id)


def made(books: WarehouseBuilder, reports: Path, **config: Any) -> Path:
    """Returns the folder of the set."""
    told = make(books, reports, **config)
    assert told.success, told.failure
    return Path(told.metadata["report/statements"]["index"]).parent


def refused(books: WarehouseBuilder, reports: Path, **config: Any) -> str:
    """Returns the error of a run that wrote nothing."""
    before = files(reports)
    told = make(books, reports, **config)
    assert not told.success
    assert "No statement was written." in told.failure
    assert files(reports) == before
    return told.failure


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """The texts of a page, its tags with attributes, and the rows of its tables."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data

    def row(self, begins: str) -> list[str]:
        """Returns the cells of the row that begins with this text."""
        (found,) = [row[1:] for row in self.rows if row[0].strip().startswith(begins)]
        return [cell.strip() for cell in found]


class TestASet:
    def test_is_of_the_last_month_that_was_over_and_has_files_for_each_affiliate(
        self, books: WarehouseBuilder, reports: Path
    ) -> None:
        folder = made(books, reports)
        assert folder == reports / "statements" / "2025-03"
        names = ["1", "2", "3", file_name("gone@example.com")]
        expected = {"index.html", "totals.csv", *(f"{name}{end}" for name in names for end in (".html", ".csv"))}
        assert {path.name for path in folder.iterdir()} == expected

    def test_says_the_same_in_each_form(self, books: WarehouseBuilder, reports: Path) -> None:
        folder = made(books, reports)
        total = {(row["affiliate_id"], row["currency"]): row for row in rows(folder / "totals.csv")}
        assert list(total) == [("1", "USD"), ("1", "JPY"), ("2", "USD"), ("3", "USD"), ("gone@example.com", "USD")]
        for (whose, currency), row in total.items():
            lines = {name: row[name] for name in ("opening", *MOVEMENTS, "closing")}
            own = rows(folder / row["file"])
            (stated,) = [one for one in own if one["record"] == "statement" and one["currency"] == currency]
            assert {name: stated[name] for name in lines} == lines
            assert {one["affiliate_id"] for one in own} == {whose}
            for name in MOVEMENTS:
                of_rows = [one for one in own if one["record"] == "conversion" and one["currency"] == currency]
                assert sum((Decimal(one[name]) for one in of_rows), D("0")) == Decimal(stated[name])
        page = Page(folder / "1.html")
        assert [row[1:] for row in page.rows if row[0] == "Less paid"] == [["0.00"], ["700"]]
        in_dollars = {name: total["1", "USD"][name] for name in ("opening", *MOVEMENTS, "closing")}
        assert in_dollars == {
            "opening": "10.25",
            "earned": "20.00",
            "approved": "0.00",
            "adjustments": "-3.50",
            "reversed": "10.25",
            "paid": "0.00",
            "closing": "-3.50",
        }
        quiet = Page(folder / "3.html")
        assert quiet.row("Owed at the beginning of March 2025") == ["$40.00"]
        assert quiet.row("Owed at the end of March 2025") == ["$40.00"]
        assert any("No conversions were made" in text for text in quiet.texts)

    def test_shows_amounts_with_the_decimals_of_their_currency(self, books: WarehouseBuilder, reports: Path) -> None:
        text = (made(books, reports) / "1.html").read_text("utf-8")
        assert "¥700<" in text
        assert "-$3.50<" in text

    def test_shows_that_all_of_them_are_the_roll_forward(self, books: WarehouseBuilder, reports: Path) -> None:
        page = Page(made(books, reports) / "index.html")
        shown = [row[1:] for row in page.rows if row[0] == "Owed at the end of the month"]
        (dollars,) = books.warehouse.query(
            "SELECT closing_due FROM refersion_summaries.commission_roll_forward "
            "WHERE month = DATE '2025-03-01' AND currency = 'USD'"
        )
        assert shown == [[f"{dollars[0]:.2f}", f"{dollars[0]:.2f}", "0.00"], ["0", "0", "0"]]

    def test_links_to_files_that_are_there_and_to_nothing_else(self, books: WarehouseBuilder, reports: Path) -> None:
        folder = made(books, reports)
        for path in folder.glob("*.html"):
            for tag, attributes in Page(path).tags:
                for name in ("href", "src"):
                    target = attributes.get(name)
                    if target and not target.startswith(("#", "data:")):
                        assert tag == "a"
                        assert (folder / target).is_file(), target

    def test_is_read_by_the_group_and_by_nobody_else(self, books: WarehouseBuilder, reports: Path) -> None:
        folder = made(books, reports)
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}


class TestNothingThatDoesHarm:
    def test_a_name_is_a_text_on_every_page(self, books: WarehouseBuilder, reports: Path) -> None:
        folder = made(books, reports)
        for name in ("1.html", "index.html"):
            page = Page(folder / name)
            assert "script" not in {tag for tag, _ in page.tags}
            assert any(SCRIPT in text for text in page.texts)

    def test_a_spreadsheet_finds_no_formula_and_amounts_stay_numbers(
        self, books: WarehouseBuilder, reports: Path
    ) -> None:
        folder = made(books, reports)
        names = {row["affiliate_name"] for row in rows(folder / "totals.csv")}
        assert names == {SCRIPT, f"'{FORMULA}", "Quiet", "Gone, Ltd."}
        own = {row["conversion_id"]: row for row in rows(folder / "1.csv")}
        assert own["2"]["order_number"] == "'-1+2"
        assert own["3"]["commission"] == "-10.25"
        for path in folder.glob("*.csv"):
            for row in rows(path):
                for name, cell in row.items():
                    if name in ("commission", "opening", *MOVEMENTS, "closing"):
                        assert not cell or Decimal(cell).is_finite()
                    else:
                        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))

    def test_an_affiliates_files_hold_nothing_of_others(self, books: WarehouseBuilder, reports: Path) -> None:
        folder = made(books, reports)
        of_second = (FORMULA, "only-of-the-second", "second@example.com")
        for path in folder.iterdir():
            text = path.read_text("utf-8")
            if path.stem not in ("2", "index", "totals"):
                assert not any(word in text for word in of_second), path.name
        assert "only-of-the-second" in (folder / "2.csv").read_text("utf-8")

    def test_customers_are_in_no_file(self, books: WarehouseBuilder, reports: Path) -> None:
        for path in made(books, reports).iterdir():
            assert not any(word in path.read_text("utf-8") for word in HASHES)


class TestChoosing:
    def test_a_month(self, books: WarehouseBuilder, reports: Path) -> None:
        assert {row["month"] for row in rows(made(books, reports, month="2025-02") / "totals.csv")} == {"2025-02"}

    def test_a_month_that_goes_on_says_so(self, books: WarehouseBuilder, reports: Path) -> None:
        assert "had not ended" not in (made(books, reports) / "1.html").read_text("utf-8")
        folder = made(books, reports, month="2025-04", unfinished=True)
        for name in ("1.html", "index.html"):
            assert any("Not final." in text for text in Page(folder / name).texts)
        assert Page(folder / "2.html").row("Owed now") == ["$30.00"]

    def test_one_affiliate_leaves_the_set_of_all_alone(self, books: WarehouseBuilder, reports: Path) -> None:
        all_of_them = made(books, reports).resolve()
        folder = made(books, reports, affiliate="2")
        assert folder == reports / "statements" / "of_one_affiliate" / "2" / "2025-03"
        assert {path.name for path in folder.iterdir()} == {"index.html", "totals.csv", "2.html", "2.csv"}
        assert (folder / "2.csv").read_bytes() == (all_of_them / "2.csv").read_bytes()
        assert (reports / "statements" / "2025-03").resolve() == all_of_them
        assert all(SCRIPT not in path.read_text("utf-8") for path in folder.iterdir())

    @pytest.mark.exhaustive
    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"month": "March"}, "month is 'March'; it has to be YYYY-MM, such as 2025-04."),
            ({"month": "2025-13"}, "month is '2025-13'; it has to be YYYY-MM"),
            ({"month": "2025-05"}, "last read on 2025-04-01 (UTC), before 2025-05 began. Run refersion_refresh"),
            ({"month": "2025-04"}, "before 2025-04 had ended, so its statements would still change."),
            ({"month": "2024-12"}, "There is no data for 2024-12: the first conversion is from 2025-01."),
            ({"affiliate": "../1"}, "Affiliate '../1' has no statement of 2025-03"),
        ],
    )
    def test_what_is_not_there_is_told(
        self, books: WarehouseBuilder, reports: Path, config: dict[str, Any], said: str
    ) -> None:
        made(books, reports)
        assert said in refused(books, reports, **config)


class TestReplacing:
    def test_a_new_set_takes_the_place_of_the_old_one_which_readers_may_go_on_with(
        self, books: WarehouseBuilder, reports: Path
    ) -> None:
        with (made(books, reports) / "2.csv").open() as old:
            books.watched(order(10, "100", "7", affiliate_id="2"))
            books.build(*READ)
            folder = made(books, reports)
            assert "7.00" not in old.read()
        assert "7.00" in (folder / "2.csv").read_text("utf-8")

    @pytest.mark.exhaustive
    def test_old_sets_of_the_month_go(self, books: WarehouseBuilder, reports: Path) -> None:
        for _ in range(KEPT + 1):
            made(books, reports, month="2025-02")
        made(books, reports)
        versions = reports / "statements" / ".versions"
        assert len(list((versions / "2025-02").iterdir())) == KEPT
        assert len(list((versions / "2025-03").iterdir())) == 1

    def test_a_folder_that_cannot_be_written_to_is_told(self, books: WarehouseBuilder, reports: Path) -> None:
        reports.parent.mkdir(exist_ok=True)
        reports.write_text("a file")
        said = refused(books, reports)
        assert f"{reports / 'statements'} could not be written" in said
        assert "REFERSION_REPORT_PATH" in said


class TestTying:
    @pytest.mark.exhaustive
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (
                "UPDATE refersion_summaries.commission_roll_forward SET paid = paid + 0.0001",
                "all statements in JPY: paid is 700.0000 but has to be 700.0001",
            ),
            (
                "UPDATE refersion_summaries.due_periods SET amount = amount + 1 WHERE conversion_id = '8'",
                "all statements in USD: approved is 81.0000 but has to be 80.0000",
            ),
            (
                "DELETE FROM refersion_summaries.due_periods WHERE conversion_id = '7'",
                "all statements in USD: opening is 10.2500 but has to be 50.2500",
            ),
            (
                "DELETE FROM refersion_summaries.commission_roll_forward WHERE currency = 'JPY'",
                "all statements in JPY: opening is 700.0000 but has to be 0",
            ),
            (
                # Its commission counts, but no conversion shows it.
                "DELETE FROM refersion_summaries.conversions WHERE conversion_id = '8'",
                "the conversions of affiliate gone@example.com in USD: approved is 0 but has to be 50.0000",
            ),
        ],
    )
    def test_statements_that_do_not_tie_are_not_published(
        self, books: WarehouseBuilder, reports: Path, change: str, said: str
    ) -> None:
        made(books, reports)
        books.warehouse.query(change)
        failure = refused(books, reports)
        assert "The statements do not add up: " in failure
        assert said in failure

    def test_the_check_is_on_the_asset_either_way(self, books: WarehouseBuilder, reports: Path) -> None:
        found = []
        for change in ("SELECT 1", "UPDATE refersion_summaries.commission_roll_forward SET newly_due = 1"):
            books.warehouse.query(change)
            with fresh_instance() as instance:
                result = dg.materialize(
                    [statements_asset()],
                    resources={"warehouse": books.warehouse, "reports": Reports(folder=str(reports))},
                    instance=instance,
                    raise_on_error=False,
                )
                found += [(one.check_name, one.passed) for one in result.get_asset_check_evaluations()]
        assert found == [("ties_to_roll_forward", True), ("ties_to_roll_forward", False)]

    def test_what_was_never_built_or_read_is_told(self, books: WarehouseBuilder, reports: Path) -> None:
        books.warehouse.query("DELETE FROM refersion_summaries.data_as_of")
        assert "The account was never read. Run refersion_refresh first." in refused(books, reports)
        for name in ("data_as_of", "due_periods"):
            books.warehouse.query(f"DROP TABLE refersion_summaries.{name}")
        said = (
            "Statements read summaries/due_periods, summaries/data_as_of, which were never built. Run refersion_refresh"
        )
        assert said in refused(books, reports)


class TestChecks:
    @pytest.fixture
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with fresh_instance() as instance:
            yield instance

    def run(self, instance: dg.DagsterInstance, books: WarehouseBuilder, reports: Path, **config: bool) -> Outcome:
        """Runs the job of the code location on these books."""
        ran = defs.resolve_job_def("refersion_statements").execute_in_process(
            instance=instance,
            run_config={
                "ops": {"report__statements": {"config": config}},
                "resources": {
                    "warehouse": {"config": {"duckdb_path": books.warehouse.duckdb_path}},
                    "reports": {"config": {"folder": str(reports)}},
                },
            },
            raise_on_error=False,
        )
        return outcome(instance, ran.run_id)

    def evaluated(self, instance: dg.DagsterInstance, passed: bool, name: str = "roll_forward_ties") -> None:
        key = dg.AssetKey(["summaries", "commission_roll_forward"])
        found = dg.AssetCheckEvaluation(
            asset_key=key, check_name=name, passed=passed, description="A movement was lost."
        )
        instance.report_runless_asset_event(found)

    def test_that_failed_keep_statements_from_being_made(
        self, instance: dg.DagsterInstance, books: WarehouseBuilder, reports: Path
    ) -> None:
        self.evaluated(instance, passed=False)
        told = self.run(instance, books, reports)
        assert not told.success
        assert "roll_forward_ties of summaries/commission_roll_forward: A movement was lost." in told.failure
        assert "set `despite_failed_checks`. No statement was written." in told.failure
        assert not reports.exists()
        assert self.run(instance, books, reports, despite_failed_checks=True).success

    def test_that_pass_again_or_were_never_run_do_not(
        self, instance: dg.DagsterInstance, books: WarehouseBuilder, reports: Path
    ) -> None:
        assert self.run(instance, books, reports).success
        for passed in (False, True):
            self.evaluated(instance, passed)
        assert self.run(instance, books, reports).success


@pytest.mark.exhaustive
def test_a_page_of_very_many_conversions_shows_the_first_and_sums_of_all(
    books: WarehouseBuilder, reports: Path
) -> None:
    books.warehouse.query(
        "INSERT INTO refersion_data.conversions SELECT c.* REPLACE (concat('many', n.number) AS id) "
        "FROM refersion_data.conversions AS c CROSS JOIN generate_series(0, $most) AS n(number) WHERE c.id = '6'",
        most=MOST_SHOWN,
    )
    books.warehouse.query(
        "INSERT INTO refersion_data.conversion_history SELECT h.* REPLACE (c.id AS id) "
        "FROM refersion_data.conversion_history AS h, refersion_data.conversions AS c "
        "WHERE h.id = '6' AND starts_with(c.id, 'many')"
    )
    books.build(*READ)
    folder = made(books, reports)
    page = Page(folder / "2.html")
    (last,) = [row for row in page.rows if "conversions" in row[0]]
    assert f"{MOST_SHOWN + 2:,} conversions, the first {MOST_SHOWN:,} of which are shown" in last[0]
    assert last[1] == f"{30 * (MOST_SHOWN + 2):,}.00"
    assert len(rows(folder / "2.csv")) == MOST_SHOWN + 3


def test_an_account_without_conversions_has_a_set_without_statements(tmp_path: Path, books: WarehouseBuilder) -> None:
    books.warehouse.query("DELETE FROM refersion_data.conversions")
    books.build(*READ)
    folder = made(books, tmp_path / "reports")
    assert {path.name for path in folder.iterdir()} == {"index.html", "totals.csv"}
    assert any("No affiliate has a balance" in text for text in Page(folder / "index.html").texts)


class TestMerchant:
    NAMED: Mapping[str, str] = {
        "merchant_name": "=Söhne & <b>Co</b>",
        "merchant_address": "1 Main Street;  Springfield\\nUSA\n;",
    }

    def test_pages_and_csv_name_the_merchant_escaped(self, books: WarehouseBuilder, reports: Path) -> None:
        told = make(books, reports, self.NAMED)
        assert told.success, told.failure
        folder = Path(told.metadata["report/statements"]["index"]).parent
        text = (folder / "1.html").read_text("utf-8")
        assert (
            "<address><strong>=Söhne &amp; &lt;b&gt;Co&lt;/b&gt;</strong>"
            "<br>1 Main Street<br>Springfield<br>USA</address>"
        ) in text
        found = rows(folder / "1.csv")
        assert {row["merchant"] for row in found} == {"'=Söhne & <b>Co</b>"}
        assert list(found[0])[-1] == "merchant"
        assert "merchant" not in rows(folder / "totals.csv")[0]

    def test_without_one_nothing_is_said(self, books: WarehouseBuilder, reports: Path) -> None:
        folder = made(books, reports)
        assert "<address>" not in (folder / "1.html").read_text("utf-8")
        assert {row["merchant"] for row in rows(folder / "1.csv")} == {""}

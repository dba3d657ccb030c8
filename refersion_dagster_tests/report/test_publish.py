"""Published copies: complete sets, swapped in one step, safe to open while they are replaced."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from refersion_dagster.ingest.gaps import ADD as ADD_GAP
from refersion_dagster.ingest.gaps import CREATE as CREATE_GAPS
from refersion_dagster.report.checks import CheckState
from refersion_dagster.report.publish import CURRENT, DATABASE, KEPT, publish
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.location import held_open
from refersion_dagster_tests.summaries.builders import WarehouseBuilder, affiliate, order

TABLES = ["data_as_of", "affiliates", "conversions", "payments", "currencies"]
PUBLISHED = [summary for summary in load_summaries() if summary.name in TABLES]
RUN = "1a2b3c4d-0000-0000-0000-000000000000"

PLACES = "SELECT currency FROM refersion_summaries.currencies ORDER BY place"
KINDS = """
SELECT column_name, data_type FROM duckdb_columns()
WHERE schema_name = 'refersion_summaries' AND table_name = 'conversions'
"""

READER = """
import duckdb, sys
from pathlib import Path
current = Path(sys.argv[1]) / "current"
print("open", flush=True)
seen = set()
for line in sys.stdin:
    with duckdb.connect(str(current / "refersion.duckdb"), read_only=True) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM conversions), (SELECT sum(conversions) FROM currencies)"
        ).fetchone()
    print(*counts, flush=True)
"""


@pytest.fixture(scope="module")
def built(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("books")))
    books = WarehouseBuilder(database)
    books.add(
        "affiliates", affiliate(1, name='=HYPERLINK("https://evil.example","x")'), affiliate(2, name='Ånn, "B"\nx')
    )
    books.conversions(order(1, "100.00", "10.25"), order(2, "7", "0.7", currency="EUR", coupon_code="-5"))
    books.build(*TABLES)
    return database


@pytest.fixture
def books(built: Path, tmp_path: Path) -> Iterator[WarehouseBuilder]:
    with held_open(Path(shutil.copy(built, tmp_path))) as database:
        yield WarehouseBuilder(database)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "it's published"


def publish_from(books: WarehouseBuilder, folder: Path) -> Path:
    with books.warehouse.session() as session:
        done, _ = publish(session, PUBLISHED, folder, RUN)
    assert isinstance(done, Path)
    return done


class TestASet:
    def test_has_currencies_in_the_one_order_in_csv_and_parquet(self, books: WarehouseBuilder, folder: Path) -> None:
        books.conversions(order(3, "9", "0.9", currency="AUD"), order(4, "100", "10"))
        books.build(*TABLES)
        done = publish_from(books, folder)
        order_of = [name for (name,) in books.warehouse.query(PLACES)]
        assert order_of != sorted(order_of)  # the account's own first
        for table in ("conversions", "currencies"):
            with (done / "csv" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
                in_csv = [row["currency"] for row in csv.DictReader(file)]
            in_parquet = pq.read_table(done / "parquet" / f"{table}.parquet")["currency"].to_pylist()
            assert in_csv == in_parquet == sorted(in_csv, key=order_of.index), table
            assert set(in_csv) == set(order_of)

    def test_holds_every_table_in_each_form_with_the_same_rows_and_types(
        self, books: WarehouseBuilder, folder: Path
    ) -> None:
        done = publish_from(books, folder)
        with duckdb.connect(str(folder / CURRENT / DATABASE), read_only=True) as copy:
            for table in TABLES:
                rows = books.warehouse.query(f"SELECT * FROM refersion_summaries.{table} ORDER BY ALL")
                assert copy.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() == rows
                parquet = pq.read_table(done / "parquet" / f"{table}.parquet")
                assert parquet.num_rows == len(rows)
                with (done / "csv" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
                    assert len(list(csv.DictReader(file))) == len(rows)
            kinds = dict(copy.execute(KINDS).fetchall())
        assert kinds["commission"] == "DECIMAL(18,4)"
        assert kinds["created_at"] == "TIMESTAMP WITH TIME ZONE"
        money = pq.read_table(done / "parquet" / "conversions.parquet").column("commission").to_pylist()
        assert sorted(money) == [Decimal("0.7"), Decimal("10.25")]

    def test_says_what_it_is(self, books: WarehouseBuilder, folder: Path) -> None:
        done = publish_from(books, folder)
        manifest = json.loads((folder / CURRENT / "manifest.json").read_text("utf-8"))
        assert manifest["run_id"] == RUN
        assert manifest["as_of"] == "2025-04-01T12:00:00+00:00"
        assert datetime.fromisoformat(manifest["published_at"]).tzinfo
        told = {table["name"]: table["rows"] for table in manifest["tables"]}
        assert told == {"data_as_of": 1, "affiliates": 2, "conversions": 2, "payments": 0, "currencies": 2}
        sizes = {table["name"]: table["bytes"] for table in manifest["tables"]}
        assert sizes["affiliates"] == (done / "parquet" / "affiliates.parquet").stat().st_size

    def test_says_which_checks_vouch_for_it_and_what_the_account_does_not_offer(
        self, books: WarehouseBuilder, folder: Path
    ) -> None:
        at = datetime(2025, 4, 1, 12, tzinfo=UTC)
        states = [
            CheckState("payments_proven", "summaries/payment_proof", "warning", "Not all are proven.", at),
            CheckState("primary_key", "summaries/conversions", "never run", None, None),
        ]
        with books.warehouse.session() as session:
            session.query(CREATE_GAPS)
            session.query(ADD_GAP, table="clicks", column=None, reason="No clicks.", seen_at=at)
            publish(session, PUBLISHED, folder, RUN, states)
        manifest = json.loads((folder / CURRENT / "manifest.json").read_text("utf-8"))
        assert manifest["checks"] == [
            {
                "name": "payments_proven",
                "asset": "summaries/payment_proof",
                "verdict": "warning",
                "said": "Not all are proven.",
                "at": "2025-04-01T12:00:00+00:00",
            },
            {"name": "primary_key", "asset": "summaries/conversions", "verdict": "never run", "said": None, "at": None},
        ]
        assert manifest["not_offered"] == [{"table": "clicks", "column": None, "reason": "No clicks."}]

    def test_makes_cells_of_csv_harmless_and_leaves_numbers_alone(self, books: WarehouseBuilder, folder: Path) -> None:
        done = publish_from(books, folder)
        with (done / "csv" / "affiliates.csv").open(encoding="utf-8", newline="") as file:
            names = [row["name"] for row in csv.DictReader(file)]
        assert sorted(names) == ['\'=HYPERLINK("https://evil.example","x")', 'Ånn, "B"\nx']
        with (done / "csv" / "conversions.csv").open(encoding="utf-8", newline="") as file:
            rows = {row["conversion_id"]: row for row in csv.DictReader(file)}
        assert (rows["2"]["coupon_code"], rows["2"]["commission"]) == ("'-5", "0.7000")

    def test_has_old_names_of_columns_for_programs_and_not_in_csv(self, books: WarehouseBuilder, folder: Path) -> None:
        done = publish_from(books, folder)
        (summary,) = (one for one in PUBLISHED if one.name == "conversions")
        assert pq.read_schema(done / "parquet" / "conversions.parquet").names == [*summary.columns]
        with (done / "csv" / "conversions.csv").open(encoding="utf-8", newline="") as file:
            (names, *_) = csv.reader(file)
        old_names = ["kind", "state", "approved_by"]
        assert names == [name for name in summary.columns if name not in old_names]
        assert len(names) == len(summary.columns) - 3

    def test_is_read_by_the_group_and_by_nobody_else(self, books: WarehouseBuilder, folder: Path) -> None:
        done = publish_from(books, folder)
        assert {file.stat().st_mode & 0o777 for file in done.rglob("*") if file.is_file()} == {0o640}
        assert {one.stat().st_mode & 0o777 for one in (folder, folder / "versions", done, done / "csv")} == {0o750}

    def test_has_the_schema_of_the_warehouse_and_its_descriptions(self, books: WarehouseBuilder, folder: Path) -> None:
        publish_from(books, folder)
        find = """
SELECT comment FROM duckdb_columns()
WHERE schema_name = 'refersion_summaries' AND table_name = 'conversions' AND column_name = 'currency'
"""
        with duckdb.connect(str(folder / CURRENT / DATABASE), read_only=True) as copy:
            assert copy.execute("SELECT count(*) FROM refersion_summaries.conversions").fetchall() == [(2,)]
            assert copy.execute("SELECT count(*) FROM conversions").fetchall() == [(2,)]
            assert copy.execute(find).fetchall() == [("Currency of both amounts.",)]


class TestReplacing:
    def test_an_account_that_was_never_read_can_be_published(self, books: WarehouseBuilder, folder: Path) -> None:
        with books.warehouse.session() as session:
            for table in TABLES:
                session.query(f"DELETE FROM refersion_summaries.{table}")
        publish_from(books, folder)
        assert json.loads((folder / CURRENT / "manifest.json").read_text("utf-8"))["as_of"] is None

    @pytest.mark.exhaustive
    def test_the_last_sets_are_kept_and_older_ones_go(self, books: WarehouseBuilder, folder: Path) -> None:
        done = [publish_from(books, folder) for _ in range(KEPT + 2)]
        assert sorted((folder / "versions").iterdir()) == done[-KEPT:]
        assert (folder / CURRENT).resolve() == done[-1].resolve()

    def test_a_set_that_fails_leaves_the_current_one_and_no_leftover(
        self, books: WarehouseBuilder, folder: Path
    ) -> None:
        done = publish_from(books, folder)
        with books.warehouse.session() as session, pytest.raises(duckdb.Error):
            publish(session, load_summaries(), folder, RUN)  # most of them were never built
        assert (folder / CURRENT).resolve() == done.resolve()
        assert list((folder / "versions").iterdir()) == [done]

    @pytest.mark.exhaustive
    def test_readers_of_other_processes_meet_whole_sets_only(self, books: WarehouseBuilder, folder: Path) -> None:
        publish_from(books, folder)
        command = [sys.executable, "-c", READER, str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdin
            assert reader.stdout
            assert reader.stdout.readline() == "open\n"
            counts = []
            for number in range(3, 9):
                reader.stdin.write("look\n")
                reader.stdin.flush()
                books.conversions(order(number, "1", "1"))
                with books.warehouse.write_lock(print):  # the warehouse itself is locked
                    books.build(*TABLES)
                    publish_from(books, folder)
                counts.append(reader.stdout.readline().split())
            reader.stdin.close()
        assert all(rows == summed for rows, summed in counts)
        assert len(counts) == 6

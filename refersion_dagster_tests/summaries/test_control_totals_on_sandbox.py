"""control_totals against a server: whichever way it adds up, the reading is found, kept, and a change is told."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from refersion_dagster.refersion import LoadRequest, ReadReport
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import NOW, account_of
from refersion_dagster_tests.summaries.builders import WarehouseBuilder

ACCOUNT = SandboxSettings(affiliates=8, orders=80, days=70, now=NOW)
Way = tuple[Literal["left_out", "counted"], Literal["left_out", "counted"]]
WORDS = {"left_out": ("its currency only", "tests left out"), "counted": ("all currencies added up", "tests counted")}


def reading_of(way: Way) -> str:
    currencies, tests = way
    return f"{WORDS[currencies][0]}, {WORDS[tests][1]}"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    """An account of several currencies, with tests in each of them."""
    with SandboxServer(ACCOUNT) as running:
        for days, currency in ((3, "USD"), (40, "EUR"), (40, "USD")):
            made = int((NOW - timedelta(days=days)).timestamp())
            running.insert_conversion(is_test_conversion=True, currency=currency, created=made, commission_total="3.00")
        yield running


def load(refersion: RefersionResource, warehouse: Warehouse, *tables: str, **options: Any) -> None:
    """Loads tables one after the other, as a run does."""
    report = ReadReport()
    for table in tables:
        with warehouse.pipeline() as pipeline:
            source = warehouse.prepare(refersion.source(report, LoadRequest(**options))).with_resources(table)
            pipeline.run(source, loader_file_format="parquet")


@pytest.fixture(scope="module")
def loaded(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    load(account_of(sandbox), Warehouse(duckdb_path=str(database)), "conversions")
    return database


class Proof:
    """The proof of one warehouse, made again each time it is asked for."""

    def __init__(self, sandbox: SandboxServer, database: Path) -> None:
        self.sandbox = sandbox
        self.books = WarehouseBuilder(database)
        self.warehouse = self.books.warehouse

    def when(self, way: tuple[str, str]) -> dict[str, Any]:
        """What the proof says of the account when the server adds up this way."""
        currencies, tests = way
        self.sandbox.configure(totals_currencies=currencies, totals_test_conversions=tests)
        return self.read_again()

    def read_again(self, *before: str) -> dict[str, Any]:
        load(account_of(self.sandbox), self.warehouse, *before, "conversion_totals", full_reload=True)
        return self.built()

    def built(self) -> dict[str, Any]:
        self.books.build("control_totals")
        found = self.warehouse.query(
            "SELECT interpretation, interpretations_possible, interpretation_fits, interpretation_kept, count(*), "
            "sum(abs(count_difference) + abs(commission_difference) + abs(order_total_difference)), "
            "sum(loaded_count), count(CASE WHEN verdict = 'differs' THEN 1 END), max(remark) "
            "FROM refersion_summaries.control_totals "
            "GROUP BY interpretation, interpretations_possible, interpretation_fits, interpretation_kept"
        )
        names = (
            "interpretation",
            "possible",
            "fits",
            "kept",
            "cells",
            "difference",
            "conversions",
            "differing",
            "remark",
        )
        (row,) = found  # one reading for the whole account
        return dict(zip(names, row, strict=True))


@pytest.fixture
def proof(sandbox: SandboxServer, loaded: Path, tmp_path: Path) -> Proof:
    return Proof(sandbox, Path(shutil.copy(loaded, tmp_path)))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("way", "later"),
    [
        (("left_out", "left_out"), ("counted", "left_out")),
        (("left_out", "counted"), ("left_out", "left_out")),
        (("counted", "left_out"), ("counted", "counted")),
        (("counted", "counted"), ("left_out", "left_out")),
    ],
)
def test_the_reading_is_found_and_a_change_of_the_server_is_told(proof: Proof, way: Way, later: Way) -> None:
    first = proof.when(way)
    assert (first["interpretation"], first["possible"]) == (reading_of(way), reading_of(way))
    assert (first["fits"], first["kept"], first["difference"], first["remark"]) == (True, True, 0, None)
    assert first["conversions"] == len(counted(proof.sandbox, way))

    changed = proof.when(later)
    assert (changed["interpretation"], changed["possible"]) == (reading_of(way), reading_of(way))
    assert (changed["fits"], changed["kept"]) == (False, True)
    assert changed["difference"] > 0
    assert changed["differing"] > 0
    assert f"it would fit with {reading_of(later)}." in changed["remark"]


def counted(sandbox: SandboxServer, way: Way) -> list[int]:
    """The account's own conversions that a server counts which adds up this way."""
    currencies, tests = way
    return [
        row.id
        for row in sandbox.account.conversions.values()
        if (currencies == "counted" or row.currency == sandbox.settings.base)
        and (tests == "counted" or not row.is_test_conversion)
    ]


@pytest.mark.exhaustive
def test_a_server_that_converts_fits_no_reading(proof: Proof) -> None:
    found = proof.when(("converted", "left_out"))
    assert (found["fits"], found["kept"], found["possible"]) == (False, False, None)
    assert found["difference"] > 0
    assert "Refersion seems to convert" in found["remark"]


def test_a_conversion_that_is_missing_is_told(proof: Proof) -> None:
    """No reading is bent to fit: one cent too few in one month is a difference in that month alone."""
    proof.when(("left_out", "left_out"))
    with proof.warehouse.session() as session:
        ((number, month),) = session.query(
            "SELECT id, CAST(date_trunc('month', created AT TIME ZONE 'UTC') AS DATE) FROM refersion_data.conversions "
            "WHERE status = 'APPROVED' AND currency = 'USD' AND NOT is_test_conversion ORDER BY id LIMIT 1"
        )
        session.query("UPDATE refersion_data.conversions SET total = total - 0.01 WHERE id = $id", id=number)
    found = proof.built()
    assert (found["fits"], found["differing"], found["difference"]) == (False, 1, Decimal("0.01"))
    differing = proof.warehouse.query(
        "SELECT month, status, order_total_difference FROM refersion_summaries.control_totals WHERE verdict = 'differs'"
    )
    assert [(when, status, str(amount)) for when, status, amount in differing] == [(month, "APPROVED", "-0.0100")]


class TestWhileTheAccountGoesOn:
    """On a sandbox of its own, as time cannot be turned back."""

    @pytest.fixture
    def sandbox(self) -> Iterator[SandboxServer]:
        with SandboxServer(ACCOUNT) as running:
            yield running

    @pytest.fixture
    def proof(self, sandbox: SandboxServer, tmp_path: Path) -> Proof:
        return Proof(sandbox, tmp_path / "warehouse.duckdb")

    @pytest.mark.exhaustive
    def test_new_orders_since_the_conversions_were_read_are_no_difference(self, proof: Proof) -> None:
        proof.read_again("conversions")
        for _ in range(3):
            proof.sandbox.advance(seconds=300)
            proof.sandbox.insert_conversion()
        found = proof.read_again()  # totals by themselves
        assert (found["fits"], found["difference"]) == (True, 0)
        found = proof.read_again("conversions")
        assert (found["fits"], found["difference"]) == (True, 0)

    @pytest.mark.exhaustive
    def test_a_first_load_that_begins_within_a_month_is_compared_from_there(
        self, sandbox: SandboxServer, tmp_path: Path
    ) -> None:
        books = WarehouseBuilder(tmp_path / "warehouse.duckdb")
        refersion = account_of(sandbox, start_date="2025-06-10T08:00:00Z")
        for _ in range(2):
            load(refersion, books.warehouse, "conversions", "conversion_totals")
            books.build("control_totals")
            found = books.warehouse.query(
                "SELECT min(period_from), min(verdict), max(verdict), sum(loaded_count) > 0 "
                "FROM refersion_summaries.control_totals"
            )
            assert found == [(NOW.replace(month=6, day=10, hour=8), "agrees", "agrees", True)]
            sandbox.advance(days=2)

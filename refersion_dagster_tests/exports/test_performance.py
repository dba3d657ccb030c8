"""Performance reports: how they are read, and what they confirm of the conversions."""

from decimal import Decimal
from pathlib import Path

import pytest

from refersion_dagster.refersion.errors import UnusableExport
from refersion_dagster.refersion.exports.folder import PERFORMANCE, list_exports
from refersion_dagster.refersion.exports.mapping import ExportSettings
from refersion_dagster.refersion.exports.performance import Comparison, compare_report
from refersion_dagster.refersion.exports.reader import read_export
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.exports import ExportFormat
from refersion_dagster_tests.exports.account import ExportAccount
from refersion_dagster_tests.exports.files import SETTINGS, text, write
from refersion_dagster_tests.location import SMALL

NAME = "performance 2026-07-01 0933.csv"
HEADER = "Affiliate ID,Currency,Clicks,Conversions,Revenue,Commission"
SEVEN = "7,USD,120,1,100.00,10.00"
LINE = "{id},{day} 10:00:00,{who},A{id},{status},UNPAID,{currency},{total},{commission}"


def conversion(id: int, who: int = 7, status: str = "APPROVED", currency: str = "USD", day: str = "2026-06-01") -> str:
    return LINE.format(id=id, day=day, who=who, status=status, currency=currency, total="100.00", commission="10.00")


def compare(folder: Path, settings: ExportSettings = SETTINGS) -> Comparison:
    files = list_exports(folder, settings.zone)
    (report,) = (file for file in files if file.kind == PERFORMANCE)
    return compare_report(read_export(report, settings), files, lambda file: read_export(file, settings))


def test_sums_by_affiliate_and_currency_agree_or_differ(tmp_path: Path) -> None:
    write(
        tmp_path, text(conversion(1), conversion(2, 8), conversion(3, 8, currency="EUR"), conversion(4, 9, "PENDING"))
    )
    eight = "8,USD,5,1,100.00,10.01", "8,EUR,5,1,100.00,10.00"
    write(tmp_path, text(SEVEN, *eight, header=HEADER), NAME)
    found = compare(tmp_path)
    assert {(row.affiliate_id, row.currency): row.agrees for row in found.rows} == {
        ("7", "USD"): True,
        ("8", "EUR"): True,
        ("8", "USD"): False,
    }
    assert "differs from the conversions in 1 of 3 sums by affiliate and currency (affiliates 8)" in found.describe()


def test_an_affiliate_in_only_one_of_both_differs_unless_nothing_was_earned(tmp_path: Path) -> None:
    write(tmp_path, text(conversion(1), conversion(2, 8)))
    write(tmp_path, text(SEVEN, "9,USD,40,0,0.00,0.00", "10,USD,1,1,5.00,1.00", header=HEADER), NAME)
    assert [row.affiliate_id for row in compare(tmp_path).differing] == ["10", "8"]


def test_only_conversions_of_its_period_are_compared(tmp_path: Path) -> None:
    write(tmp_path, text(conversion(1), conversion(2, day="2026-05-31")))
    write(tmp_path, text(SEVEN, header=HEADER), "performance from 2026-06-01 to 2026-06-30 2026-07-01 0933.csv")
    assert (
        compare(tmp_path).describe().startswith("performance from 2026-06-01 to 2026-06-30 2026-07-01 0933.csv agrees")
    )


def test_exports_of_one_sitting_may_cover_the_period_together(tmp_path: Path) -> None:
    write(tmp_path, text(conversion(1)), "conversions from 2026-06-01 2026-07-01 0930.csv")
    write(tmp_path, text(SEVEN, header=HEADER), NAME)
    assert "was not compared: no exports of conversions" in compare(tmp_path).describe()
    write(
        tmp_path, text(conversion(2, day="2026-05-02")), "conversions from 2026-05-01 to 2026-05-31 2026-07-01 0931.csv"
    )
    assert compare(tmp_path).not_compared, "what was made before May is in none"
    (tmp_path / NAME).unlink()
    write(
        tmp_path,
        text("7,USD,120,2,200.00,20.00", header=HEADER),
        "performance from 2026-05-01 to 2026-06-30 2026-07-01 0933.csv",
    )
    assert not compare(tmp_path).differing


def test_without_conversions_of_about_the_same_time_nothing_is_compared(tmp_path: Path) -> None:
    write(tmp_path, text(conversion(1)), "conversions 2026-06-15 0930.csv")
    write(tmp_path, text(SEVEN, header=HEADER), NAME)
    found = compare(tmp_path)
    assert [row.agrees for row in found.rows] == [None]
    assert "made within a day of it" in found.describe()


def test_a_conversion_counts_as_the_export_nearest_in_time_says(tmp_path: Path) -> None:
    write(tmp_path, text(conversion(1, status="PENDING")), "conversions 2026-06-30 1200.csv")
    write(tmp_path, text(conversion(1)), "conversions 2026-07-01 0930.csv")
    write(tmp_path, text(SEVEN, header=HEADER), NAME)
    assert not compare(tmp_path).differing


def test_totals_are_compared_and_an_affiliate_has_one_row_per_currency(tmp_path: Path) -> None:
    write(tmp_path, text(conversion(1)))
    write(tmp_path, text(SEVEN, "Total,,,,100.00,10.00", header=HEADER), NAME)
    assert len(compare(tmp_path).rows) == 1
    for rows, said in (
        ((SEVEN, "Total,,,,100.00,11.00"), "says that 'Commission' adds up to 11.00"),
        ((SEVEN, SEVEN), "the id 7 USD on lines 2 and 3"),
        (("7,USD,120,1,,10.00",), r"'Revenue' \(total\).*not filled"),
        (("7,USD,1.5,1,1.00,10.00",), "not a whole number"),
    ):
        write(tmp_path, text(*rows, header=HEADER), NAME)
        with pytest.raises(UnusableExport, match=said):
            compare(tmp_path)


def test_columns_can_be_declared_and_a_currency_is_needed(tmp_path: Path) -> None:
    write(tmp_path, text(conversion(1)))
    write(tmp_path, "Partner;Umsatz;Provision\n7;100,00;10,00\n", NAME)
    with pytest.raises(UnusableExport, match="known as affiliate_id, total, commission_total, currency"):
        compare(tmp_path)
    names = {"affiliate_id": "Partner", "total": "Umsatz", "commission_total": "Provision"}
    (tmp_path / "conversions 2026-07-01 0930.csv").unlink()
    found = compare(tmp_path, ExportSettings(currency="USD", decimal=",", columns={PERFORMANCE: names}))
    (row,) = found.rows
    assert row.reported is not None
    assert (row.currency, row.reported.total, row.reported.conversions) == ("USD", Decimal("100.00"), None)


@pytest.mark.exhaustive
class TestLoads:
    @pytest.fixture
    def account(self, tmp_path: Path) -> ExportAccount:
        return ExportAccount.of(tmp_path)

    def kept(self, account: ExportAccount) -> list[tuple[object, ...]]:
        return account.warehouse.query(
            "SELECT affiliate_id, currency, clicks, total, total_exported, agrees FROM refersion_data._performance "
            "ORDER BY affiliate_id, currency"
        )

    def test_what_differs_is_kept_and_warned_of_and_the_same_again_changes_nothing(
        self, account: ExportAccount
    ) -> None:
        write(account.folder, text(conversion(1), conversion(2, 8)))
        write(account.folder, text(SEVEN, "8,USD,,1,90.00,10.00", header=HEADER), NAME)
        done = account.load("conversions")
        assert "differs from the conversions in 1 of 2" in " ".join(done.metadata["refersion/conversions"]["warnings"])
        expected = [
            ("7", "USD", 120, "100.00", "100.00", True),
            ("8", "USD", None, "90.00", "100.00", False),
        ]
        assert self.kept(account) == expected
        account.load("conversions")
        assert self.kept(account) == expected

    def test_a_report_is_compared_when_conversions_of_its_time_arrive(self, account: ExportAccount) -> None:
        write(account.folder, text(conversion(1)), "conversions 2026-06-15 0930.csv")
        write(account.folder, text(SEVEN, header=HEADER), NAME)
        account.load("conversions")
        assert self.kept(account) == [("7", "USD", 120, "100.00", None, None)]
        write(account.folder, text(conversion(1)))
        account.load("conversions")
        assert self.kept(account) == [("7", "USD", 120, "100.00", "100.00", True)]

    def test_columns_of_reports_may_be_declared_after_conversions_were_loaded(self, account: ExportAccount) -> None:
        write(account.folder, text(conversion(1)))
        account.load("conversions")
        write(account.folder, text(SEVEN, header=HEADER.replace("Revenue", "Umsatz")), NAME)
        assert "known as total" in account.refused("conversions")
        (account.folder / "exports.yaml").write_text("columns: {performance: {total: Umsatz}}\n")
        account.load("conversions")
        assert self.kept(account) == [("7", "USD", 120, "100.00", "100.00", True)]

    @pytest.mark.parametrize(
        "written",
        [ExportFormat(totals=True), ExportFormat("utf-16", ";", "UTC", decimal=",", totals=True)],
        ids=["plain", "European"],
    )
    def test_the_report_of_an_account_with_a_history_agrees(
        self, account: ExportAccount, written: ExportFormat
    ) -> None:
        if written.decimal == ",":
            (account.folder / "exports.yaml").write_text("timezone: UTC\ndecimal: ','\n")
        with SandboxServer(SMALL) as sandbox:
            for days in (0, 26):
                sandbox.advance(days=days)
                sandbox.export(account.folder, written)
                account.load("conversions")
        verdicts = account.warehouse.query(
            "SELECT agrees, count(*), count(DISTINCT file_name) FROM refersion_data._performance GROUP BY agrees"
        )
        ((agrees, rows, files),) = verdicts
        assert (agrees, files) == (True, 2)
        assert isinstance(rows, int)
        assert rows > 10

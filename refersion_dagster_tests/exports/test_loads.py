"""Loads of a folder: again and again, with later, overlapping, changed and incomplete exports."""

from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.exports.account import ExportAccount
from refersion_dagster_tests.exports.files import ROWS, text, write

JULY, AUGUST, SEPTEMBER = (f"conversions 2026-0{month}-01 0930.csv" for month in (7, 8, 9))
ONE, TWO = ROWS
APPROVED_TWO = TWO.replace("PENDING", "APPROVED")
THREE = "3,2026-07-10 08:00:00,8,A3,PENDING,UNPAID,USD,20.00,2.00"
TABLES = ("conversions", "conversion_history", "conversion_readings")


@pytest.fixture
def account(tmp_path: Path) -> ExportAccount:
    return ExportAccount.of(tmp_path)


def rows(account: ExportAccount, columns: str = "id, status, reason") -> list[tuple[object, ...]]:
    return account.warehouse.query(f"SELECT {columns} FROM refersion_data.conversions ORDER BY id")


def history(account: ExportAccount) -> list[tuple[object, ...]]:
    return account.warehouse.query(
        "SELECT id, change, status, CAST(CAST(seen_at AS DATE) AS TEXT) FROM refersion_data.conversion_history "
        "ORDER BY seen_at, id"
    )


def test_each_export_is_a_reading_of_the_time_at_which_it_was_made(account: ExportAccount) -> None:
    write(account.folder, text(ONE, TWO), JULY)
    write(account.folder, text(ONE, APPROVED_TWO, THREE), AUGUST)
    write(account.folder, text(ONE, APPROVED_TWO), SEPTEMBER)
    account.load(*TABLES)
    assert rows(account) == [
        ("1", "APPROVED", None),
        ("2", "APPROVED", None),
        ("3", "DENIED", "gone from export: denied, unqualified or deleted"),
    ]
    assert history(account) == [
        ("1", "new", "APPROVED", "2026-07-01"),
        ("2", "new", "PENDING", "2026-07-01"),
        ("2", "changed", "APPROVED", "2026-08-01"),
        ("3", "new", "PENDING", "2026-08-01"),
        ("3", "changed", "DENIED", "2026-09-01"),
    ]
    lacking = dict(
        account.warehouse.query(
            "SELECT column_name, reason FROM refersion_data._not_offered WHERE column_name LIKE 'status=%'"
        )
    )
    assert lacking == dict.fromkeys(("status=DENIED", "status=UNQUALIFIED"), "The exports do not have it.")


@pytest.mark.exhaustive
class TestFurtherLoads:
    @pytest.fixture
    def account(self, tmp_path: Path) -> ExportAccount:
        account = ExportAccount.of(tmp_path)
        write(account.folder, text(ONE, TWO), JULY)
        account.load(*TABLES)
        return account

    def test_the_same_files_again_change_nothing(self, account: ExportAccount) -> None:
        before = rows(account, "*"), history(account)
        write(account.folder, text(ONE, TWO), JULY.replace(".csv", " (1).csv"))
        account.load(*TABLES)
        assert (rows(account, "*"), history(account)) == before

    def test_a_row_that_comes_back_is_what_the_later_export_says(self, account: ExportAccount) -> None:
        write(account.folder, text(ONE), AUGUST)
        account.load(*TABLES)
        assert rows(account)[1][1:] == ("DENIED", "gone from export: denied, unqualified or deleted")
        write(account.folder, text(ONE, APPROVED_TWO), SEPTEMBER)
        account.load(*TABLES)
        assert rows(account)[1] == ("2", "APPROVED", None)

    def test_what_is_gone_stays_gone_with_the_time_it_was_first_missed(self, account: ExportAccount) -> None:
        write(account.folder, text(ONE), AUGUST)
        write(account.folder, text(ONE), SEPTEMBER)
        account.load(*TABLES)
        assert [one for one in history(account) if one[0] == "2"] == [
            ("2", "new", "PENDING", "2026-07-01"),
            ("2", "changed", "DENIED", "2026-08-01"),
        ]

    def test_an_export_of_a_part_says_nothing_of_the_rest(self, account: ExportAccount) -> None:
        write(account.folder, text(THREE), "conversions from 2026-07-01 2026-08-01 0930.csv")
        done = account.load(*TABLES)
        assert [one[1] for one in rows(account)] == ["APPROVED", "PENDING", "PENDING"]
        assert "1 conversions that are pending or not paid were last exported on 2026-07-01" in " ".join(
            done.metadata["refersion/conversions"]["warnings"]
        )

    def test_missing_days_stop_the_load(self, account: ExportAccount) -> None:
        write(account.folder, text(THREE), "conversions from 2026-07-05 2026-08-01 0930.csv")
        said = account.refused(*TABLES)
        assert "No export has the conversions made from 2026-07-01 09:30 to 2026-07-04 23:59 (UTC)" in said
        assert len(rows(account)) == 2

    def test_what_was_made_before_the_first_day_is_covered_once_everything_is_exported(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        account = ExportAccount.of(tmp_path_factory.mktemp("late"))
        write(account.folder, text(ONE, TWO), "conversions from 2026-04-01 2026-07-01 0930.csv")
        said = "No export has conversions made before 2026-04-01 (UTC). If there are any, what is owed for them is in"
        assert said in str(account.load(*TABLES).metadata["refersion/conversions"])
        write(account.folder, text(ONE, TWO), "conversions 2026-07-02 0930.csv")
        assert said not in str(account.load(*TABLES).metadata["refersion/conversions"])

    def test_a_bad_row_stops_the_load_before_anything_is_loaded(self, account: ExportAccount) -> None:
        write(account.folder, text(ONE, APPROVED_TWO), AUGUST)
        write(account.folder, text(ONE, TWO.replace("105.05", "1O5.05")), SEPTEMBER)
        assert f"Line 3 of {SEPTEMBER}: column 'Commission'" in account.refused(*TABLES)
        assert rows(account)[1][1] == "PENDING"

    def test_a_filtered_or_truncated_export_is_refused(self, account: ExportAccount) -> None:
        approved = [ONE.replace("1,", f"{number},", 1) for number in range(10, 20)]
        write(account.folder, text(ONE, TWO, *approved), AUGUST)
        account.load(*TABLES)
        write(account.folder, text(ONE, TWO, *approved[:5]), SEPTEMBER)
        assert "lacks 5 of 11 approved conversions" in account.refused(*TABLES)
        assert len(rows(account)) == 12

    def test_an_older_export_that_covers_the_same_is_refused(self, account: ExportAccount) -> None:
        write(account.folder, text(ONE, TWO), "conversions 2026-06-15 0930.csv")
        assert "is older than conversions 2026-07-01 0930.csv" in account.refused(*TABLES)

    def test_a_file_that_was_changed_after_it_was_loaded_is_refused(self, account: ExportAccount) -> None:
        write(account.folder, text(ONE), JULY)
        assert f"{JULY} was changed after it was loaded" in account.refused(*TABLES)

    def test_other_settings_than_before_are_refused(self, account: ExportAccount) -> None:
        (account.folder / "exports.yaml").write_text("timezone: Europe/Berlin\n")
        assert "exports.yaml has changed" in account.refused(*TABLES)

    def test_another_account_is_refused(self, account: ExportAccount) -> None:
        write(account.folder, text(THREE.replace(",8,", ",99,")), "conversions from 2026-07-01 2026-08-01 0930.csv")
        assert "conversions of other affiliates only" in account.refused(*TABLES)

    def test_a_run_over_a_period_is_refused(self, account: ExportAccount) -> None:
        said = account.refused(*TABLES, config={"read_from": "2026-06-01"})
        assert "not possible for an account that is read from exports" in said


@pytest.mark.exhaustive
def test_keys_and_exports_together_are_refused(account: ExportAccount) -> None:
    write(account.folder, text(ONE, TWO), JULY)
    from refersion_dagster.resources import RefersionResource
    from refersion_dagster_tests.location import materialise

    both = RefersionResource(exports_path=str(account.folder), graphql_token="gql_0123456789")
    done = materialise(both, Warehouse(duckdb_path=str(account.folder / "w.duckdb")), "refersion/conversions")
    assert "Both REFERSION_EXPORTS_PATH and keys" in done.failure

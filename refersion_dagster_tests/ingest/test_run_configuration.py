"""How much a run reads: the effect of its configuration on it and on later runs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInvalidConfigError

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import NOW, Outcome, account_of, materialise, query
from refersion_dagster_tests.marks import limit_cases


class Account:
    """An account and its warehouse; each call is a run."""

    def __init__(self, sandbox: SandboxServer, database: Path) -> None:
        self.sandbox = sandbox
        self.database = database

    def try_to_load(self, table: str, **config: Any) -> Outcome:
        warehouse = Warehouse(duckdb_path=str(self.database))
        return materialise(account_of(self.sandbox), warehouse, f"refersion/{table}", config=config)

    def load(self, table: str, **config: Any) -> dict[str, Any]:
        """The metadata that the run reported for the table."""
        outcome = self.try_to_load(table, **config)
        assert outcome.success, outcome.failure
        return outcome.metadata[f"refersion/{table}"]

    def count(self) -> int:
        return query(self.database, "SELECT count(*) FROM refersion_data.conversions")[0][0]

    def status(self, row: int) -> str:
        return query(self.database, f"SELECT status FROM refersion_data.conversions WHERE id = '{row}'")[0][0]


@pytest.fixture
def account(sandbox: SandboxServer, database: Path) -> Account:
    return Account(sandbox, database)


@pytest.fixture
def loaded(sandbox: SandboxServer, loaded_database: Path) -> Account:
    """An account whose conversions were loaded before."""
    return Account(sandbox, loaded_database)


def window(told: dict[str, Any]) -> tuple[datetime, datetime]:
    start, end = (datetime.fromtimestamp(told[f"window_{side}"], UTC) for side in ("from", "to"))
    return start, end


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestLookBack:
    @pytest.mark.exhaustive
    def test_is_the_settings_own_where_a_run_says_nothing(self, loaded: Account) -> None:
        start, _ = window(loaded.load("conversions"))
        assert 119 <= (NOW - start).days <= 125  # 120 days before the newest row or the last run

    @pytest.mark.exhaustive
    def test_can_be_chosen_for_one_run(self, loaded: Account) -> None:
        start, _ = window(loaded.load("conversions", lookback_days=10))
        assert 10 <= (NOW - start).days <= 15

    @pytest.mark.exhaustive
    def test_sees_what_changed_inside_of_it_and_only_that(self, account: Account) -> None:
        rows = [account.sandbox.insert_conversion(created=f"2025-{month}-01T00:00:00Z") for month in ("05", "06")]
        account.load("conversions")
        for row in rows:
            account.sandbox.change_conversion(row, status="DENIED")
        account.load("conversions", lookback_days=40)
        assert [account.status(row) for row in rows] == ["PENDING", "DENIED"]
        account.load("conversions", lookback_days=90)
        assert [account.status(row) for row in rows] == ["DENIED", "DENIED"]

    @pytest.mark.exhaustive
    def test_covers_a_time_in_which_no_run_was_made(self, loaded: Account) -> None:
        row = loaded.sandbox.insert_conversion()
        loaded.sandbox.advance(days=50)
        start, end = window(loaded.load("conversions", lookback_days=1))
        assert start <= NOW
        assert (end - NOW).days == 50
        assert loaded.status(row) == "PENDING"


class TestSpan:
    def test_reads_exactly_that_and_leaves_the_high_water_mark_alone(self, loaded: Account) -> None:
        untouched = window(loaded.load("conversions"))
        told = loaded.load("conversions", read_from="2025-03-01", read_to="2025-04-01")
        assert window(told) == (moment("2025-03-01"), moment("2025-04-01"))
        (in_march,) = query(
            loaded.database,
            "SELECT count(*) FROM refersion_data.conversions WHERE strftime(created, '%Y-%m') = '2025-03'",
        )[0]
        assert told["rows_loaded"] == in_march > 0
        assert window(loaded.load("conversions")) == untouched

    @pytest.mark.exhaustive
    def test_before_any_other_run_does_not_pass_for_the_first_load(self, account: Account) -> None:
        account.load("conversions", read_from="2025-06-01")
        assert account.count() < account.sandbox.sums()["number_of_conversions"]
        account.load("conversions")
        assert account.count() == account.sandbox.sums()["number_of_conversions"]

    def test_without_an_end_goes_on_to_now(self, account: Account) -> None:
        start, end = window(account.load("payments", read_from="2025-05-01T08:30:00Z"))
        assert start == moment("2025-05-01T08:30:00")
        assert (end - NOW).total_seconds() <= 1

    def test_without_a_beginning_starts_where_the_first_load_does(self, account: Account) -> None:
        start, end = window(account.load("conversions", read_to="2025-03-01"))
        assert (start, end) == (account.sandbox.start.replace(hour=0, minute=0, second=0), moment("2025-03-01"))

    @pytest.mark.exhaustive
    def test_can_be_one_of_the_totals_too(self, account: Account) -> None:
        told = account.load("conversion_totals", read_from="2025-03-10", read_to="2025-04-01")
        assert window(told) == (moment("2025-03-01"), moment("2025-04-01"))
        assert told["rows_loaded"] == 8  # one month, four statuses, paid and unpaid


class TestFullReload:
    @pytest.mark.exhaustive
    def test_reads_everything_again_and_sees_the_oldest_change(self, account: Account) -> None:
        row = account.sandbox.insert_conversion(created=f"{account.sandbox.start:%Y-%m-%dT%H:%M:%SZ}")
        first = account.load("conversions")
        account.sandbox.change_conversion(row, status="DENIED")
        account.load("conversions", lookback_days=3)
        assert account.status(row) == "PENDING"
        again = account.load("conversions", full_reload=True)
        assert again["rows_loaded"] == first["rows_loaded"]
        assert account.status(row) == "DENIED"
        assert account.count() == account.sandbox.sums()["number_of_conversions"]


class TestAllDetails:
    @pytest.mark.exhaustive
    def test_details_are_read_again_only_for_changed_affiliates(self, account: Account) -> None:
        sandbox = account.sandbox
        assert account.load("affiliate_get")["rows_loaded"] == sandbox.sums()["affiliates"]
        assert account.load("affiliate_get")["rows_loaded"] == 0
        changed = next(iter(sandbox.account.affiliates))
        sandbox.change_affiliate(changed, first_name="Renamed")
        assert account.load("affiliate_get")["rows_loaded"] == 1

    @pytest.mark.exhaustive
    def test_or_for_all_of_them_on_request(self, account: Account) -> None:
        account.load("affiliate_get")
        assert account.load("affiliate_get", all_details=True)["rows_loaded"] == account.sandbox.sums()["affiliates"]


class TestWhatMakesNoSense:
    @pytest.mark.parametrize(
        ("config", "said"),
        limit_cases(
            [
                ({"read_from": "yesterday"}, "'yesterday' is not a date (2024-01-31) or time (2024-01-31T08:00:00Z)"),
                ({"read_from": "2025-13-01"}, "'2025-13-01' is not a date"),
                ({"read_to": "1 May"}, "'1 May' is not a date"),
                (
                    {"read_from": "2025-06-01", "read_to": "2025-05-01"},
                    "read_from (2025-06-01) has to be before read_to (2025-05-01)",
                ),
                ({"read_from": "2025-06-01", "read_to": "2025-06-01"}, "has to be before read_to"),
                ({"read_from": "2025-06-01", "full_reload": True}, "full_reload reads everything"),
                ({"lookback_days": -1}, "lookback_days"),
            ],
            2,
        ),
    )
    def test_fails_with_a_word_on_it_before_anything_is_asked(
        self, account: Account, config: dict[str, Any], said: str
    ) -> None:
        outcome = account.try_to_load("conversions", **config)
        assert not outcome.success
        assert said in outcome.failure
        assert account.sandbox.requests() == {}

    @pytest.mark.parametrize("config", [{"look_back": 3}, {"lookback_days": "many"}, {"full_reload": "perhaps"}])
    def test_what_the_configuration_does_not_know_is_refused_before_the_run(
        self, account: Account, config: dict[str, Any]
    ) -> None:
        with pytest.raises(DagsterInvalidConfigError, match=next(iter(config))):
            account.try_to_load("conversions", **config)

    @pytest.mark.parametrize(
        ("settings", "said"),
        limit_cases(
            [
                ({"pii": "sometimes"}, "REFERSION_PII"),
                ({"start_date": "last year"}, "start_date (REFERSION_START_DATE) is 'last year'; it has to be a date"),
                ({"max_concurrency": 0}, "max_concurrency (REFERSION_MAX_CONCURRENCY) is 0; it has to be 1 or more."),
                ({"rows_per_load": 0}, "rows_per_load (REFERSION_ROWS_PER_LOAD) is 0; it has to be 1 or more."),
            ]
        ),
    )
    def test_so_does_a_setting(
        self, sandbox: SandboxServer, warehouse: Warehouse, settings: dict[str, Any], said: str
    ) -> None:
        outcome = materialise(account_of(sandbox, **settings), warehouse, "refersion/conversions")
        assert not outcome.success
        assert said in outcome.failure
        assert sandbox.requests() == {}

"""Which keys a run needs, and its message if they are missing or wrong."""

import re
from pathlib import Path

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import GRAPHQL, REST, TABLES, Location, account_of, counts, materialise


@pytest.mark.exhaustive
def test_a_process_with_the_key_pair_alone_loads_the_rest_tables_and_says_what_the_others_need(
    account: SandboxServer, tmp_path: Path
) -> None:
    location = Location.of(tmp_path, account).without("REFERSION_GRAPHQL_TOKEN")
    ended = location.refresh()
    assert ended.code != 0
    assert {name for name, rows in location.counts().items() if rows} == set(REST)
    assert location.counts()["affiliate_list"] == account.sums()["affiliates"]
    assert "REFERSION_GRAPHQL_TOKEN is not set." in ended.output
    assert "Find it in Refersion under Account > Settings > Refersion API > GraphQL." in ended.output


class TestMissing:
    def test_conversions_say_that_they_need_the_token(self, account: SandboxServer, warehouse: Warehouse) -> None:
        outcome = materialise(account_of(account, graphql_token=None), warehouse, "refersion/conversions")
        assert not outcome.success
        assert outcome.failure == (
            "Refersion's GraphQL API, the only source of individual conversions, payments and offers, requires a "
            "token, but REFERSION_GRAPHQL_TOKEN is not set. Set REFERSION_GRAPHQL_TOKEN (plain dlt: "
            "graphql_token under [sources.refersion_source] in .dlt/secrets.toml). Find it in Refersion under "
            "Account > Settings > Refersion API > GraphQL."
        )

    @pytest.mark.parametrize(
        ("absent", "named"),
        [
            (
                {"public_key": None, "api_key": None, "graphql_token": None},
                "REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY are",
            ),
            ({"public_key": None}, "REFERSION_PUBLIC_KEY is"),
            ({"api_key": None}, "REFERSION_SECRET_KEY is"),
            ({"api_key": "  "}, "REFERSION_SECRET_KEY is"),
        ],
    )
    def test_the_half_of_the_pair_that_is_absent_is_named(
        self, account: SandboxServer, warehouse: Warehouse, absent: dict[str, str | None], named: str
    ) -> None:
        outcome = materialise(account_of(account, **absent), warehouse, "refersion/affiliate_list")
        assert not outcome.success
        assert f"Refersion's REST API requires a key pair, but {named} not set." in outcome.failure
        assert "Find them in Refersion under Account > Settings > Refersion API." in outcome.failure

    def test_no_request_is_sent_without_a_key(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        bare = account_of(sandbox, public_key=None, api_key=None, graphql_token=None)
        outcome = materialise(bare, warehouse, *(f"refersion/{table}" for table in (*TABLES, "graphql_schemas")))
        assert not outcome.success
        assert "REFERSION_GRAPHQL_TOKEN is not set" in outcome.failure
        assert sandbox.requests() == {}

    @pytest.mark.exhaustive
    def test_rest_tables_load_in_a_run_in_which_graphql_fails(
        self, account: SandboxServer, warehouse: Warehouse
    ) -> None:
        outcome = materialise(account_of(account, graphql_token=None), warehouse)
        assert not outcome.success
        assert set(outcome.metadata) == {f"refersion/{table}" for table in TABLES if table != "conversions"}
        assert outcome.failure.count("REFERSION_GRAPHQL_TOKEN is not set") == 1
        assert {name for name, rows in counts(Path(warehouse.duckdb_path)).items() if rows} == set(REST)

    @pytest.mark.exhaustive
    @pytest.mark.parametrize(
        ("absent", "tables"),
        [
            ({"graphql_token": None}, [table for table in GRAPHQL if table != "conversions"]),
            ({"public_key": None, "api_key": None}, REST),
        ],
        ids=["no token", "no keys"],
    )
    def test_tables_of_the_api_that_has_no_keys_are_empty_and_say_why(
        self, account: SandboxServer, warehouse: Warehouse, absent: dict[str, str | None], tables: list[str]
    ) -> None:
        outcome = materialise(account_of(account, **absent), warehouse, *(f"refersion/{table}" for table in tables))
        assert outcome.success, outcome.failure
        (named,) = {outcome.metadata[f"refersion/{table}"]["not_offered"] for table in tables}
        assert re.search(r"REFERSION_\w+ (is|are) not set", named)
        for table in tables:
            (told,) = [line for line in outcome.log if line.startswith(f"{table}: ")]
            assert re.fullmatch(
                rf"{table}: not read, as REFERSION_.* not set\. No new rows were loaded into the table\.", told
            )
        assert counts(Path(warehouse.duckdb_path)) == dict.fromkeys(tables, 0)
        recorded = warehouse.query("SELECT table_name, column_name, reason FROM refersion_data._not_offered")
        assert sorted(recorded) == sorted((table, None, named) for table in tables)

    def test_a_pair_in_one_string_is_taken(self, account: SandboxServer, warehouse: Warehouse) -> None:
        pair = account_of(account, public_key=None, api_key=f"{account.public_key}.{account.secret_key}")
        assert materialise(pair, warehouse, "refersion/affiliate_list").success


class TestWrong:
    @pytest.mark.parametrize(
        ("wrong", "table", "advice"),
        [
            ("api_key", "affiliate_list", "Check REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY."),
            ("public_key", "conversion_totals", "Check REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY."),
            ("graphql_token", "offers", "Check REFERSION_GRAPHQL_TOKEN."),
        ],
    )
    def test_the_servers_words_are_told_with_advice_and_without_the_key(
        self, account: SandboxServer, warehouse: Warehouse, wrong: str, table: str, advice: str
    ) -> None:
        key = "wrong_94b1e07ac3"
        outcome = materialise(account_of(account, **{wrong: key}), warehouse, f"refersion/{table}")
        assert not outcome.success
        assert "Refersion said:" in outcome.failure
        assert advice in outcome.failure
        told = "\n".join([*outcome.log, outcome.failure])
        assert not [one for one in (key, account.secret_key, account.graphql_token) if one in told]

    def test_a_refused_key_is_not_tried_again(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        materialise(account_of(sandbox, api_key="wrong"), warehouse, "refersion/affiliate_list")
        assert sandbox.requests()["rest:/affiliate/list"] == 1


class TestTroubleOfOneTable:
    @pytest.mark.exhaustive
    def test_stays_its_own(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        """Tables loaded before and after it are complete; the run fails and names the reason."""
        sandbox.fault("graphql:offers", "graphql-error", times=None, message="Offers are being moved")
        bare = account_of(sandbox, retry_seconds=0)
        outcome = materialise(bare, warehouse, *(f"refersion/{table}" for table in TABLES))
        assert not outcome.success
        assert "Offers are being moved" in outcome.failure
        told = {key.removeprefix("refersion/") for key in outcome.metadata}
        assert told == set(TABLES) - {"offers"}
        assert counts(Path(warehouse.duckdb_path))["conversions"] == sandbox.sums()["number_of_conversions"]

    def test_an_unreadable_amount_names_row_field_and_value_and_loads_nothing(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        row = sandbox.insert_conversion(total="12,34,5")
        outcome = materialise(account_of(sandbox), warehouse, "refersion/conversions")
        assert not outcome.success
        assert f"conversions.total of row {row} is '12,34,5', which is not an amount" in outcome.failure
        assert counts(Path(warehouse.duckdb_path)) == {}

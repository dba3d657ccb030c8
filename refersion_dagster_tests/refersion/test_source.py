"""The source in a plain dlt pipeline: what is loaded, and where its arguments come from."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from dlt.extract.exceptions import ResourceExtractionError

from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.errors import MissingCredentials
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.refersion.plain_dlt import (
    NOW,
    SMALL,
    DltsWarehouse,
    Warehouse,
    arguments,
    read,
    rows,
    source,
)

REST = [entity.name for entity in ENTITIES.values() if not entity.is_graphql]
GRAPHQL = [entity.name for entity in ENTITIES.values() if entity.is_graphql]
SUMS = (
    "status",
    "payment_status",
    "currency",
    "count(*)",
    "sum(total)",
    "sum(commission_total)",
    "coalesce(is_test_conversion, false)",
)

NO_PAIR = "but REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY are not set."
SET_PAIR = "Set REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY "
NO_TOKEN = "but REFERSION_GRAPHQL_TOKEN is not set."
SET_TOKEN = "Set REFERSION_GRAPHQL_TOKEN "


def server_sums(sandbox: SandboxServer) -> list[tuple[Any, ...]]:
    sums = sandbox.sums()
    return sorted(
        (
            row["status"],
            row["payment_status"],
            row["currency"],
            row["count"],
            Decimal(row["total"]),
            Decimal(row["commission_total"]),
            row["is_test_conversion"],
        )
        for row in sums["conversions"] + sums["test_conversions"]
    )


def warehouse_sums(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    groups = "status, payment_status, currency, coalesce(is_test_conversion, false)"
    return sorted(warehouse.query(f"SELECT {', '.join(SUMS)} FROM refersion_data.conversions GROUP BY {groups}"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SandboxServer, Warehouse]]:
    """An account that was loaded once, and its warehouse."""
    warehouse = DltsWarehouse(tmp_path_factory.mktemp("loaded"))
    with SandboxServer(SMALL) as running:
        warehouse.load(running)
        yield running, warehouse


class TestWhatLands:
    def test_every_row_of_the_account_in_every_table(self, loaded: tuple[SandboxServer, Warehouse]) -> None:
        sandbox, warehouse = loaded
        sums = sandbox.sums()
        counts = warehouse.counts()
        assert counts.pop("conversion_totals") > 0
        since = sandbox.start.timestamp()
        assert counts.pop("clicks") == sum(click.created >= since for click in sandbox.account.clicks)
        assert counts == {
            "affiliate_list": sums["affiliates"],
            "affiliate_get": sums["affiliates"],
            "affiliates": sums["affiliates"],
            "offers": sums["offers"],
            "payments": sums["payments"],
            "conversions": sums["number_of_conversions"],
        }

    def test_sums_agree_with_refersions_own_to_the_cent(self, loaded: tuple[SandboxServer, Warehouse]) -> None:
        sandbox, warehouse = loaded
        assert warehouse_sums(warehouse) == server_sums(sandbox)

    def test_each_conversion_as_the_account_holds_it(self, loaded: tuple[SandboxServer, Warehouse]) -> None:
        sandbox, warehouse = loaded
        columns = [
            *("id", "status", "payment_status", "type", "total", "commission_total", "currency", "created"),
            *("affiliate_id", "affiliate__id", "offer__id", "payment_id", "payment__created"),
            *("is_test_conversion", "is_recurring", "total_items"),
        ]

        def moment(seconds: int) -> datetime:
            return datetime.fromtimestamp(seconds, UTC)

        expected = [
            (
                str(row.id),
                row.status,
                row.payment_status,
                row.type,
                row.total,
                row.commission_total,
                row.currency,
                moment(row.created),
                str(row.affiliate_id),
                str(row.affiliate_id),
                str(row.offer_id),
                None if row.payment_id is None else str(row.payment_id),
                None if row.payment_id is None else moment(sandbox.account.payments[row.payment_id].created),
                row.is_test_conversion,
                row.is_recurring,
                row.total_items,
            )
            for row in sandbox.account.conversions.values()
        ]
        assert warehouse.rows("conversions", *columns) == sorted(expected)

    def test_each_payment_as_the_account_holds_it(self, loaded: tuple[SandboxServer, Warehouse]) -> None:
        sandbox, warehouse = loaded
        columns = [
            *("id", "created", "commission_total", "currency", "total_conversions"),
            *("affiliate__id", "payment_method"),
        ]
        expected = [
            (
                str(row.id),
                datetime.fromtimestamp(row.created, UTC),
                row.commission_total,
                row.currency,
                row.total_conversions,
                str(row.affiliate_id),
                row.payment_method,
            )
            for row in sandbox.account.payments.values()
        ]
        assert warehouse.rows("payments", *columns) == sorted(expected)

    def test_both_ids_of_an_affiliate_in_one_row(self, loaded: tuple[SandboxServer, Warehouse]) -> None:
        sandbox, warehouse = loaded
        people = sandbox.account.affiliates.values()
        codes = sorted((str(person.id), person.code, person.email) for person in people)
        assert warehouse.rows("affiliate_get", "id", "affiliate_code", "email") == codes
        assert warehouse.rows("affiliate_list", "id", order="1") == sorted((code,) for _, code, _ in codes)
        assert warehouse.rows("affiliates", "id", "rfsn_parameter") == [
            (number, f"&rfsn={number}.{code}") for number, code, _ in codes
        ]

    @pytest.mark.parametrize("table", ENTITIES)
    def test_columns_have_the_declared_types(self, loaded: tuple[SandboxServer, Warehouse], table: str) -> None:
        _, warehouse = loaded
        types = {
            "id": "VARCHAR",
            "text": "VARCHAR",
            "custom_fields": "VARCHAR",
            "money": "DECIMAL(18,4)",
            "integer": "BIGINT",
            "boolean": "BOOLEAN",
            "timestamp": "TIMESTAMP WITH TIME ZONE",
        }
        found = warehouse.query(
            "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
            f"WHERE schema_name = 'refersion_data' AND table_name = '{table}'"
        )
        described = {name: (kind, nullable) for name, kind, nullable in found}
        declared = {column.name: (types[column.kind.value], not column.required) for column in ENTITIES[table].columns}
        assert {name: described.get(name) for name in declared} == declared
        extras = {name for name in described if name not in declared and not name.startswith("_dlt")}
        assert {described[name][0] for name in extras} <= {"VARCHAR"}

    def test_no_child_tables_and_no_variant_columns(self, loaded: tuple[SandboxServer, Warehouse]) -> None:
        _, warehouse = loaded
        assert set(warehouse.counts()) == set(ENTITIES)
        assert (
            warehouse.query(r"SELECT column_name FROM duckdb_columns() WHERE column_name LIKE '%\_\_v\_%' ESCAPE '\'")
            == []
        )

    def test_keys_are_unique(self, loaded: tuple[SandboxServer, Warehouse]) -> None:
        _, warehouse = loaded
        for entity in ENTITIES.values():
            keys = ", ".join(entity.primary_key)
            twice = warehouse.query(f"SELECT {keys} FROM refersion_data.{entity.name} GROUP BY ALL HAVING count(*) > 1")
            assert twice == []


class TestLoadingAgain:
    @pytest.fixture
    def warehouse(self, tmp_path: Path) -> Warehouse:
        return DltsWarehouse(tmp_path)

    def test_the_same_counts_and_sums(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox)
        before = warehouse.counts()
        totals = warehouse.rows("conversion_totals", "* EXCLUDE (read_at)", order="ALL")
        warehouse.load(sandbox)
        counts = warehouse.counts()
        # Months without any activity may be added to the totals.
        del before["conversion_totals"], counts["conversion_totals"]
        assert counts == before
        again = warehouse.rows("conversion_totals", "* EXCLUDE (read_at)", order="ALL")
        assert [row for row in again if row in totals] == totals
        assert warehouse_sums(warehouse) == server_sums(sandbox)

    def test_what_changed_since_is_changed_and_what_came_is_there(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        warehouse.load(sandbox, "conversions", "payments")
        sums = server_sums(sandbox)
        sandbox.advance(days=40)
        warehouse.load(sandbox, "conversions", "payments", lookback_days=200)
        assert server_sums(sandbox) != sums
        assert warehouse_sums(warehouse) == server_sums(sandbox)
        assert warehouse.count("payments") == len(sandbox.account.payments)

    @pytest.mark.exhaustive
    def test_what_changed_before_the_look_back_is_left_as_it_was(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        warehouse.load(sandbox, "conversions")
        newest = max(row.created for row in sandbox.account.conversions.values())
        edge = newest - 30 * 86_400
        inside, outside = sandbox.insert_conversion(created=edge), sandbox.insert_conversion(created=edge - 1)
        warehouse.load(sandbox, "conversions", lookback_days=30)
        landed = {int(row[0]) for row in warehouse.rows("conversions", "id")}
        assert inside in landed
        assert outside not in landed

    @pytest.mark.exhaustive
    def test_a_fresh_machine_goes_on_from_the_warehouse(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, "conversions", "affiliate_get", machine="first")
        sandbox.forget_requests()
        report = warehouse.load(sandbox, "conversions", "affiliate_get", machine="second", lookback_days=10)
        read_from = report.table("conversions").read_from
        assert read_from is not None
        assert read_from > sandbox.start + timedelta(days=100)
        assert sandbox.requests().get("rest:/affiliate/get", 0) == 0
        assert warehouse_sums(warehouse) == server_sums(sandbox)

    @pytest.mark.exhaustive
    def test_an_empty_account_loads_empty_tables(self, warehouse: Warehouse) -> None:
        with SandboxServer(SandboxSettings(affiliates=0, orders=0, days=30, now=NOW)) as running:
            warehouse.load(running)
            warehouse.load(running)
        counts = warehouse.counts()
        assert set(counts) == set(ENTITIES)
        assert {counts[table] for table in ("affiliate_list", "affiliate_get", "affiliates", "conversions")} == {0}

    @pytest.mark.exhaustive
    def test_an_account_in_loads_of_whole_months_is_the_same_as_in_one(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        report = ReadReport()
        loads = 0
        while not loads or report.more:
            warehouse.load(sandbox, "conversions", "payments", report=report, rows_per_load=60)
            loads += 1
        assert 3 <= loads <= 8
        assert report.table("conversions").rows == len(sandbox.account.conversions)
        assert warehouse_sums(warehouse) == server_sums(sandbox)

    @pytest.mark.exhaustive
    def test_a_first_load_that_stops_half_way_goes_on_where_it_stopped(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        first = warehouse.load(sandbox, "conversions", rows_per_load=60).table("conversions")
        assert first.more
        second = warehouse.load(sandbox, "conversions", machine="second").table("conversions")
        assert second.read_from == first.read_to
        assert first.rows + second.rows == len(sandbox.account.conversions)
        assert warehouse_sums(warehouse) == server_sums(sandbox)

    @pytest.mark.exhaustive
    def test_an_explicit_span_leaves_the_state_alone(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, "conversions", rows_per_load=60)
        warehouse.load(sandbox, "conversions", read_from="2025-06-01", read_to="2025-07-01")
        warehouse.load(sandbox, "conversions")
        assert warehouse_sums(warehouse) == server_sums(sandbox)

    @pytest.mark.exhaustive
    def test_a_full_reload_reads_from_the_start(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, "conversions")
        oldest = min(sandbox.account.conversions.values(), key=lambda row: row.created)
        sandbox.change_conversion(oldest.id, commission_total="77.77")
        warehouse.load(sandbox, "conversions", lookback_days=1)
        assert warehouse_sums(warehouse) != server_sums(sandbox)
        warehouse.load(sandbox, "conversions", full_reload=True)
        assert warehouse_sums(warehouse) == server_sums(sandbox)

    @pytest.mark.exhaustive
    def test_an_earlier_start_date_brings_the_earlier_rows(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, "conversions", start_date="2025-04-01")
        assert 0 < warehouse.count("conversions") < len(sandbox.account.conversions)
        warehouse.load(sandbox, "conversions")
        assert warehouse_sums(warehouse) == server_sums(sandbox)


class TestArguments:
    def test_from_dlts_environment(self, account: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in arguments(account).items():
            monkeypatch.setenv(f"SOURCES__REFERSION_SOURCE__{name.upper()}", str(value))
        assert [len(table) for table in refersion_source().with_resources("affiliate_list")] == [12]
        assert [len(table) for table in refersion_source().with_resources("affiliates")] == [12]

    def test_from_this_projects_variables_unless_they_are_not_to_count(
        self, account: SandboxServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = arguments(account)
        for name, argument in (("PUBLIC_KEY", "public_key"), ("SECRET_KEY", "api_key"), ("REST_URL", "rest_url")):
            monkeypatch.setenv(f"REFERSION_{name}", given[argument])
        assert [len(table) for table in refersion_source().with_resources("affiliate_list")] == [12]
        with pytest.raises(ResourceExtractionError, match="REFERSION_PUBLIC_KEY"):
            list(refersion_source(use_environment=False).with_resources("affiliate_list"))

    def test_a_start_date_is_where_conversions_begin(self, account: SandboxServer) -> None:
        begin = datetime(2025, 6, 29, tzinfo=UTC).timestamp()
        rows = [row for row in account.account.conversions.values() if row.created >= begin]
        assert 0 < len(rows) < len(account.account.conversions)
        found = read(account, "conversions", start_date="2025-06-29").column("id").to_pylist()
        assert sorted(found) == sorted(str(row.id) for row in rows)

    def test_a_pair_in_one_string(self, account: SandboxServer) -> None:
        pair = f"{account.public_key}.{account.secret_key}"
        assert len(read(account, "affiliate_list", api_key=pair, public_key=None)) == 12

    def test_only_rest_keys_load_the_rest_tables(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, *REST, graphql_token=None)
        assert set(warehouse.counts()) == set(REST)
        assert not any(route.startswith("graphql") for route in sandbox.requests())

    def test_without_a_token_conversions_say_what_to_set(self, account: SandboxServer, warehouse: Warehouse) -> None:
        with pytest.raises(
            MissingCredentials, match=r"Set REFERSION_GRAPHQL_TOKEN.*Account > Settings > Refersion API"
        ):
            warehouse.load(account, "conversions", graphql_token=None)

    @pytest.mark.parametrize(
        ("table", "said"),
        [
            *((table, f"{NO_PAIR} {SET_PAIR}") for table in REST),
            *((table, f"{NO_TOKEN} {SET_TOKEN}") for table in GRAPHQL),
        ],
    )
    def test_without_any_key_each_table_says_what_to_set(
        self, account: SandboxServer, warehouse: Warehouse, table: str, said: str
    ) -> None:
        with pytest.raises(MissingCredentials, match=said):
            warehouse.load(account, table, api_key=None, public_key=None, graphql_token=None)

    @pytest.mark.parametrize(
        ("absent", "tables", "said"),
        [
            ({"graphql_token": None}, [table for table in GRAPHQL if table != "conversions"], NO_TOKEN),
            ({"api_key": None, "public_key": None}, REST, NO_PAIR),
        ],
        ids=["no token", "no keys"],
    )
    def test_tables_of_the_other_api_are_empty(
        self, account: SandboxServer, warehouse: Warehouse, absent: dict[str, Any], tables: list[str], said: str
    ) -> None:
        report = warehouse.load(account, *tables, **absent)
        assert warehouse.counts() == dict.fromkeys(tables, 0)
        reasons = [report.table(table).not_offered or "" for table in tables]
        assert [reason for reason in reasons if said not in reason] == []
        warning = f"not read, as {said.removeprefix('but ')} No new rows were loaded into the table."
        assert [report.table(table).warnings for table in tables] == [[warning]] * len(tables)

    def test_half_a_pair_of_keys_is_a_mistake(self, account: SandboxServer, warehouse: Warehouse) -> None:
        with pytest.raises(MissingCredentials, match="but REFERSION_SECRET_KEY is not set"):
            warehouse.load(account, "affiliate_list", api_key=None)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"totals_by": "week"}, "totals_by is 'week'; it can be month or day"),
            ({"pii": "encrypt"}, r"pii \(REFERSION_PII\) is 'encrypt'; it has to be hash, keep or drop"),
            ({"start_date": "31.01.2024"}, r"start_date \(REFERSION_START_DATE\) is '31.01.2024'; it has to be a date"),
            ({"lookback_days": -1}, r"lookback_days \(REFERSION_LOOKBACK_DAYS\) is -1; it has to be 0 or more"),
            ({"max_concurrency": 0}, r"max_concurrency \(REFERSION_MAX_CONCURRENCY\) is 0; it has to be 1 or more"),
        ],
        ids=str,
    )
    def test_a_setting_that_makes_no_sense_is_named(
        self, account: SandboxServer, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            source(account, **changes)

    def test_nothing_is_sent_before_a_table_is_read(self, sandbox: SandboxServer) -> None:
        source(sandbox)
        assert sandbox.requests() == {}

    def test_a_source_can_be_read_twice(self, account: SandboxServer) -> None:
        assert rows(read(account, "conversions")) == rows(read(account, "conversions"))


def test_the_report_counts_rows_and_requests_by_table(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    report = warehouse.load(sandbox)
    requests = sandbox.requests()
    for name, told in report.tables.items():
        assert told.rows == warehouse.count(name)
        route = f"graphql:{name}" if ENTITIES[name].is_graphql else f"rest:/{name.replace('_', '/')}"
        assert told.requests == requests[route]
    assert set(report.tables) == set(ENTITIES)


def test_nothing_is_written_outside_of_the_pipeline_folder(account: SandboxServer, tmp_path: Path) -> None:
    Warehouse(tmp_path).load(account, "offers")
    assert {path.name for path in tmp_path.iterdir()} <= {"this", "warehouse.duckdb", "dlt"}

"""The GraphQL API may lack fields, have more, or refuse introspection: the tables stay the same."""

from datetime import UTC, datetime
from typing import Any

import pytest

from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.api.introspection import FieldType, parse_schema
from refersion_dagster.refersion.api.query import FieldSelection, select_by_trial, select_offered
from refersion_dagster.refersion.errors import (
    FieldNotOffered,
    QueryError,
    RefersionError,
    UnexpectedAnswer,
    WindowNotSettled,
)
from refersion_dagster.refersion.extract import page_assembler
from refersion_dagster.refersion.tables.catalog import CONVERSIONS, FieldSource
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import account_of
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.refersion.plain_dlt import NOW, SMALL, Row, Warehouse, read, rows

TABLES = ("affiliates", "conversions", "offers", "payments")
EXTRA = {"affiliates": {"company"}, "conversions": set(), "offers": {"amount"}, "payments": {"affiliate_id"}}


@pytest.fixture(scope="module")
def pristine() -> dict[str, list[Row]]:
    """The tables of an account whose API offers everything."""
    with SandboxServer(SMALL) as running:
        return {table: rows(read(running, table)) for table in TABLES}


@pytest.fixture(params=limit_cases(["open", "refused", "refused_400", "refused_403"], 2))
def introspection(request: pytest.FixtureRequest, sandbox: SandboxServer) -> str:
    """How the server responds to introspection."""
    sandbox.configure(introspection=request.param)
    return request.param


def without(found: list[Row], *names: str) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in names} for row in found]


class TestFields:
    @pytest.mark.parametrize("status", limit_cases([200, 400]))
    @pytest.mark.parametrize("way", limit_cases(["refused", "refused_400", "refused_403"]))
    @pytest.mark.parametrize("table", TABLES)
    def test_without_introspection_every_known_field_is_read_all_the_same(
        self, sandbox: SandboxServer, pristine: dict[str, list[Row]], table: str, way: str, status: int
    ) -> None:
        sandbox.configure(introspection=way, validation_error_status=status)
        assert rows(read(sandbox, table)) == without(pristine[table], *EXTRA[table])

    @pytest.mark.exhaustive
    @pytest.mark.parametrize(
        ("removed", "gone"),
        [
            (["Conversion.notes"], ["notes"]),
            (["Conversion.updated", "Conversion.type", "Conversion.order_id"], ["updated", "type", "order_id"]),
            (["Conversion.customer"], ["customer__name", "customer__email", "customer__browser_ip"]),
            (["Customer.email"], ["customer__email"]),
            (["Conversion.payment"], ["payment__id", "payment__created"]),
            (["Conversion.affiliate_id"], ["affiliate_id"]),
            (["Offer.name", "Shop.name"], ["offer__name", "shop__name"]),
            (["Query.pageInfo", "Query.clicks", "Query.creatives"], []),
            (["PageInfo.total_results"], []),
        ],
        ids=str,
    )
    def test_a_field_that_vanished_is_null_and_reported(
        self,
        sandbox: SandboxServer,
        introspection: str,
        pristine: dict[str, list[Row]],
        removed: list[str],
        gone: list[str],
    ) -> None:
        removable = [path for path in removed if path != "PageInfo.total_results"]
        # A type needs at least one field: without total_results, pageInfo has another one.
        added = {"PageInfo.has_next": "Boolean"} if removable != removed else {}
        sandbox.configure(remove_fields=removed, add_fields=added)
        report = ReadReport()
        found = rows(read(sandbox, "conversions", report=report))
        missing = set(gone)
        assert without(found, *missing) == without(pristine["conversions"], *missing)
        assert all(row[name] is None for row in found for name in missing)
        assert set(report.table("conversions").fields_missing) == missing

    @pytest.mark.parametrize("kind", limit_cases(["String", "Int", "Float", "Boolean"]))
    def test_an_unknown_scalar_field_lands_as_text(
        self, sandbox: SandboxServer, warehouse: Warehouse, kind: str
    ) -> None:
        sandbox.configure(
            add_fields={
                "Conversion.loyalty_tier": kind,
                "Conversion.tags": f"[{kind}]",
                "Affiliate.loyaltyTier": kind,
            }
        )
        report = warehouse.load(sandbox, "conversions", "affiliates")
        value = {"String": "gold", "Int": "42", "Float": "1.5", "Boolean": "true"}[kind]
        assert {row[0] for row in warehouse.rows("conversions", "loyalty_tier")} == {value}
        assert {row[0] for row in warehouse.rows("affiliates", "loyalty_tier")} == {value}
        # Lists of scalars are stored as JSON.
        listed = {"String": '["gold"]', "Int": "[42]", "Float": "[1.5]", "Boolean": "[true]"}[kind]
        assert {row[0] for row in warehouse.rows("conversions", "tags")} == {listed}
        assert report.table("conversions").fields_extra == ["loyalty_tier", "tags"]

    def test_what_is_offered_and_not_loaded_is_named(self, sandbox: SandboxServer) -> None:
        report = ReadReport()
        read(sandbox, "affiliates", report=report)
        read(sandbox, "conversions", report=report)
        assert report.table("affiliates").not_loaded["conversions"] == "a list of Conversion"
        of_conversions = report.table("conversions").not_loaded
        assert of_conversions["shop"] == "of the object Shop: currency, shop_identifier, url"
        assert of_conversions["creatives (root)"] == "it is not a table"

    @pytest.mark.parametrize(
        "schema",
        [
            None,
            {},
            {"queryType": None, "types": []},
            {"queryType": {"name": "Query"}, "types": [{"name": "Query", "fields": [{"name": "offers"}]}]},
        ],
        ids=str,
    )
    def test_a_schema_of_another_shape_is_an_error_that_says_so(self, schema: Any) -> None:
        with pytest.raises(UnexpectedAnswer, match="the schema has an unknown format"):
            parse_schema({"__schema": schema})

    def test_the_schema_is_asked_for_once(self, sandbox: SandboxServer) -> None:
        client = account_of(sandbox).account().graphql
        sandbox.forget_requests()
        assert client.schema() is client.schema() is not None
        assert sum(sandbox.requests().values()) == 1

    def test_a_field_without_fields_of_its_own_is_named_too(self, sandbox: SandboxServer) -> None:
        """A union, for which introspection reports no fields."""
        schema = account_of(sandbox).account().graphql.schema()
        assert schema
        schema.types["Conversion"]["reward"] = FieldType(frozenset(), False, "Reward", is_list=False, is_leaf=False)
        found = select_offered(schema, CONVERSIONS).not_loaded
        assert found["reward"] == "of the type Reward, which has no fields"

    def test_a_field_that_appears_between_two_runs_gets_a_column(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        warehouse.load(sandbox, "offers")
        sandbox.configure(add_fields={"Offer.season": "String"})
        warehouse.load(sandbox, "offers")
        assert {row[0] for row in warehouse.rows("offers", "season")} == {"gold"}
        sandbox.configure(add_fields={})
        warehouse.load(sandbox, "offers")
        assert warehouse.count("offers") == len(sandbox.account.offers)

    def test_an_unknown_field_that_sounds_personal_is_hashed(self, sandbox: SandboxServer) -> None:
        sandbox.configure(add_fields={"Conversion.customer_phone": "String"})
        (value,) = set(read(sandbox, "conversions").column("customer_phone").to_pylist())
        assert value != "gold"
        assert len(value) == 64

    @pytest.mark.parametrize(
        ("removed", "table", "named"),
        limit_cases(
            [
                (["Conversion.id"], "conversions", "without id"),
                (["Conversion.total", "Conversion.currency"], "conversions", "without total, currency"),
                (["Conversion.created"], "conversions", "without created"),
                (["Query.conversions"], "conversions", "does not offer conversions"),
            ],
            2,
        ),
        ids=str,
    )
    def test_a_table_that_cannot_be_correct_is_not_loaded(
        self, sandbox: SandboxServer, warehouse: Warehouse, removed: list[str], table: str, named: str
    ) -> None:
        sandbox.configure(remove_fields=removed)
        with pytest.raises(FieldNotOffered, match=named):
            warehouse.load(sandbox, table)
        warehouse.load(sandbox, "offers")
        assert set(warehouse.counts()) == {"offers"}

    @pytest.mark.parametrize("way", ["refused", "refused_400", "refused_403"])
    def test_nor_where_introspection_is_refused(self, sandbox: SandboxServer, way: str) -> None:
        sandbox.configure(introspection=way, remove_fields=["Conversion.currency"])
        with pytest.raises(FieldNotOffered, match="without currency"):
            read(sandbox, "conversions")
        sandbox.configure(introspection=way, remove_fields=["Query.conversions"])
        with pytest.raises(RefersionError, match="conversions"):
            read(sandbox, "conversions")

    @pytest.mark.parametrize(
        ("removed", "table", "named"),
        limit_cases(
            [
                (["Query.payments"], "payments", "does not offer payments"),
                (["Affiliate.id"], "affiliates", "without id"),
                (["Payment.currency"], "payments", "without currency"),
            ]
        ),
    )
    @pytest.mark.parametrize("way", ["open", "refused"])
    def test_other_tables_are_empty_and_the_report_says_why(
        self, sandbox: SandboxServer, warehouse: Warehouse, removed: list[str], table: str, named: str, way: str
    ) -> None:
        sandbox.configure(introspection=way, remove_fields=removed)
        report = warehouse.load(sandbox, table, "offers").table(table)
        assert named in (report.not_offered or "")
        assert report.warnings
        assert warehouse.counts() == {table: 0, "offers": warehouse.count("offers")}

    @pytest.mark.parametrize(
        "removed",
        [
            ["conversions.created_from"],
            ["conversions.created_to"],
            ["conversions.created_from", "conversions.created_to"],
        ],
    )
    def test_conversions_that_cannot_be_asked_for_by_time_are_not_loaded(
        self, sandbox: SandboxServer, introspection: str, removed: list[str]
    ) -> None:
        sandbox.configure(introspection=introspection, remove_arguments=removed)
        with pytest.raises(FieldNotOffered, match="without created_from and created_to"):
            read(sandbox, "conversions")

    def test_conversions_without_pages_are_refused_and_never_read_short(
        self, sandbox: SandboxServer, introspection: str
    ) -> None:
        sandbox.configure(introspection=introspection, remove_arguments=["conversions.offset"])
        with pytest.raises(FieldNotOffered, match="conversions without first and offset"):
            read(sandbox, "conversions")

    @pytest.mark.parametrize(
        "removed",
        limit_cases(
            [
                ["affiliates.first", "affiliates.offset"],
                ["affiliates.offset"],
                ["affiliates.first", "affiliates.offset", "affiliates.limit"],
                ["offers.first", "offers.offset"],
            ],
            2,
        ),
        ids=str,
    )
    def test_a_list_that_cannot_be_paged_is_read_in_one_answer(
        self, sandbox: SandboxServer, introspection: str, removed: list[str], pristine: dict[str, list[Row]]
    ) -> None:
        sandbox.configure(introspection=introspection, remove_arguments=removed)
        for table in ("affiliates", "offers"):
            assert without(rows(read(sandbox, table)), *EXTRA[table]) == without(pristine[table], *EXTRA[table])

    def test_one_answer_that_is_not_all_is_an_error(self, sandbox: SandboxServer) -> None:
        sandbox.configure(remove_arguments=["affiliates.offset"], page_cap=5)
        with pytest.raises(
            UnexpectedAnswer, match="5 of 12 rows were returned, and this account's API cannot be paged"
        ):
            read(sandbox, "affiliates")


PAYMENTS_OF_ROWS = ("Conversion.payment", "Conversion.payment_id")
FILLABLE = [["Conversion.status"], ["Conversion.payment_status"], ["Conversion.status", "Conversion.payment_status"]]


class TestFieldsThatCanOnlyBeFilteredOn:
    @pytest.mark.parametrize("removed", limit_cases(FILLABLE, 2), ids=str)
    def test_are_filled_in_by_one_pass_for_each_value(
        self, sandbox: SandboxServer, introspection: str, removed: list[str], pristine: dict[str, list[Row]]
    ) -> None:
        sandbox.configure(remove_fields=removed)
        report = ReadReport()
        found = rows(read(sandbox, "conversions", report=report))
        assert found == pristine["conversions"]
        assert report.table("conversions").fields_filled == [path.partition(".")[2] for path in removed]

    @pytest.mark.parametrize(
        "switches", limit_cases([{"page_cap": 9}, {"total_results_ignore_filters": True}]), ids=str
    )
    @pytest.mark.parametrize("most_rows", limit_cases([7, 20_000]))
    def test_in_windows_that_are_cut_too(
        self,
        sandbox: SandboxServer,
        pristine: dict[str, list[Row]],
        monkeypatch: pytest.MonkeyPatch,
        switches: dict[str, Any],
        most_rows: int,
    ) -> None:
        monkeypatch.setattr(page_assembler, "MOST_ROWS", most_rows)
        sandbox.configure(remove_fields=["Conversion.status"], **switches)
        assert rows(read(sandbox, "conversions")) == pristine["conversions"]

    def test_with_rows_on_the_edge_of_a_cut(self, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both halves of a window contain the rows at the cut, because the server's bounds may be inclusive."""
        monkeypatch.setattr(page_assembler, "MOST_ROWS", 10)
        sandbox.configure(page_cap=9, remove_fields=["Conversion.status", "Conversion.payment_status"])
        noon = int(datetime(2025, 6, 15, 12, tzinfo=UTC).timestamp())
        numbers = [sandbox.insert_conversion(created=noon + second) for second in range(-20, 20)]
        found = read(sandbox, "conversions", read_from="2025-06-15T11:59:00", read_to="2025-06-15T12:01:00")
        assert found.column("id").to_pylist().count(str(numbers[20])) == 1
        assert sorted(found.column("id").to_pylist()) == sorted(map(str, numbers))

    @pytest.mark.parametrize("removed", limit_cases(FILLABLE), ids=str)
    def test_that_the_server_ignores_are_an_error_and_nothing_is_loaded(
        self, sandbox: SandboxServer, warehouse: Warehouse, removed: list[str]
    ) -> None:
        if "Conversion.status" not in removed:
            removed = [*removed, *PAYMENTS_OF_ROWS]
        ignored = [path.replace("Conversion.", "conversions.") for path in removed]
        sandbox.configure(remove_fields=removed, ignore_filters=ignored)
        warehouse.load(sandbox, "offers")
        with pytest.raises(
            WindowNotSettled,
            match=r"through filters returned no value or several values .* a filter that the server ignores",
        ):
            warehouse.load(sandbox, "conversions")
        assert set(warehouse.counts()) == {"offers"}

    def test_with_a_value_nobody_knows_are_an_error(self, sandbox: SandboxServer) -> None:
        sandbox.configure(remove_fields=["Conversion.status"])
        number = sandbox.insert_conversion(status="ESCALATED", created=int(NOW.timestamp()) - 60)
        with pytest.raises(WindowNotSettled, match=f"status of {number}"):
            read(sandbox, "conversions", read_from="2025-06-30")

    def test_and_cannot_even_be_filtered_on_are_an_error(self, sandbox: SandboxServer, introspection: str) -> None:
        sandbox.configure(remove_fields=["Conversion.status"], remove_arguments=["conversions.status"])
        with pytest.raises(FieldNotOffered, match="without status"):
            read(sandbox, "conversions")

    @pytest.mark.parametrize(
        "switches",
        [
            {"remove_arguments": ["conversions.payment_status"]},
            {"ignore_filters": ["conversions.payment_status"]},
            {
                "remove_arguments": ["conversions.payment_status"],
                "remove_fields": ["Conversion.payment_status", "Conversion.payment_id"],
            },
            {
                "ignore_filters": ["conversions.payment_status"],
                "remove_fields": ["Conversion.payment_status", "Conversion.status"],
            },
        ],
        ids=["no filter", "filter ignored", "payment alone", "one filter of two ignored"],
    )
    def test_payment_status_follows_from_the_payment_of_a_row(
        self, sandbox: SandboxServer, pristine: dict[str, list[Row]], switches: dict[str, list[str]]
    ) -> None:
        sandbox.configure(**{"remove_fields": ["Conversion.payment_status"], **switches})
        report = ReadReport()
        found = rows(read(sandbox, "conversions", report=report))
        assert without(found, "payment_id") == without(pristine["conversions"], "payment_id")
        without_status = "Conversion.status" in switches.get("remove_fields", ())
        filled = ["status", "payment_status"] if without_status else ["payment_status"]
        assert report.table("conversions").fields_filled == filled

    def test_without_any_word_of_payments_it_is_missing(self, sandbox: SandboxServer, introspection: str) -> None:
        sandbox.configure(
            remove_fields=["Conversion.payment_status", *PAYMENTS_OF_ROWS],
            remove_arguments=["conversions.payment_status"],
        )
        report = ReadReport()
        assert set(read(sandbox, "conversions", report=report).column("payment_status").to_pylist()) == {None}
        assert "payment_status" in report.table("conversions").fields_missing


class TestServersThatRefuseWithoutAName:
    """Neither a schema nor the field that is not known: fewer fields are tried, in three steps."""

    def select(self, *refused: str) -> tuple[FieldSelection, int]:
        """What is selected of a server that refuses every query with one of these words, and after how many queries."""
        asked: list[str] = []

        def execute(query: str, _operation: str) -> None:
            asked.append(query)
            assert len(asked) < 10
            if set(refused) & set(query.split()):
                raise QueryError("the query was refused.")

        return select_by_trial(CONVERSIONS, execute), len(asked)

    def test_are_asked_for_documented_and_seen_fields_then_for_documented_ones(self) -> None:
        def named(*sources: FieldSource) -> set[str]:
            return {column.name for column in CONVERSIONS.columns if column.evidence in sources}

        documented, seen = named(FieldSource.DOCUMENTED), named(FieldSource.DOCUMENTED, FieldSource.SEEN)
        found, queries = self.select("notes")
        assert ({column.name for column in found.columns}, queries) == (seen | {"status", "payment_status"}, 2)
        found, queries = self.select("notes", "coupon_code")
        assert ({column.name for column in found.columns}, queries) == (documented | {"id"}, 3)
        assert found.filters == ("status", "payment_status")

    def test_and_refuse_the_documented_ones_too_are_an_error(self) -> None:
        with pytest.raises(QueryError, match="the query was refused"):
            self.select("{")

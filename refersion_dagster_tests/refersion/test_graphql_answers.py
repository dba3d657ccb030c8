"""What the GraphQL API sends: values of other types, values that should be objects, and errors in each envelope."""

from typing import Any

import pytest

from refersion_dagster.refersion.errors import InvalidCredentials, RefersionError, RequestRefused, UnreadableValue
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.refersion.plain_dlt import NOW, SMALL, Row, Warehouse, read, rows

TABLES = ("affiliates", "conversions", "offers", "payments")


@pytest.fixture(scope="module")
def pristine() -> dict[str, list[Row]]:
    """The tables of an account whose API sends the documented types."""
    with SandboxServer(SMALL) as running:
        return {table: rows(read(running, table)) for table in TABLES}


class TestTypes:
    @pytest.mark.parametrize(
        "types",
        [
            {"ids": "string"},
            {"money": "number"},
            {"money": "separators"},
            {"times": "unix_number"},
            {"times": "iso"},
            {"booleans": "upper"},
            {"booleans": "number"},
            {"ids": "string", "money": "number", "times": "iso", "booleans": "upper"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("table", limit_cases(TABLES))
    def test_whatever_types_the_server_sends_the_table_is_the_same(
        self, sandbox: SandboxServer, pristine: dict[str, list[Row]], table: str, types: dict[str, str]
    ) -> None:
        sandbox.configure(types=types)
        assert rows(read(sandbox, table)) == pristine[table]

    @pytest.mark.exhaustive
    def test_types_that_change_between_two_runs_change_nothing_in_the_warehouse(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        def landed() -> list[Any]:
            return [warehouse.rows(table, "* EXCLUDE (read_at)") for table in TABLES]

        warehouse.load(sandbox, *TABLES)
        before = landed()
        sandbox.configure(types={"ids": "string", "money": "number", "times": "iso", "booleans": "number"})
        warehouse.load(sandbox, *TABLES, full_reload=True)
        assert landed() == before

    @pytest.mark.parametrize("field", ["customer", "affiliate", "click"])
    def test_an_object_that_is_none_is_named_without_what_it_holds(self, sandbox: SandboxServer, field: str) -> None:
        number = sandbox.insert_conversion(created=int(NOW.timestamp()) - 60, **{field: "kim@example.com"})
        with pytest.raises(UnreadableValue, match=f"conversions.{field} of row {number} is .* not an object") as caught:
            read(sandbox, "conversions", read_from="2025-06-30")
        assert ("kim@example.com" in str(caught.value)) == (field == "affiliate")

    @pytest.mark.parametrize("nothing", [None, [], {}, ""])
    def test_an_object_that_is_empty_in_phps_way_is_null(self, sandbox: SandboxServer, nothing: Any) -> None:
        number = sandbox.insert_conversion(created=int(NOW.timestamp()) - 60, payment=nothing, customer=nothing)
        found = {row["id"]: row for row in read(sandbox, "conversions", read_from="2025-06-30").to_pylist()}
        assert found[str(number)]["payment__created"] is None
        assert found[str(number)]["customer__email"] is None


class TestRefusals:
    @pytest.mark.parametrize("status", limit_cases([200, 400, 401, 403], 2))
    @pytest.mark.parametrize("table", limit_cases(TABLES, 2))
    def test_a_wrong_token_is_said_in_one_sentence_with_where_to_find_it(
        self, sandbox: SandboxServer, warehouse: Warehouse, table: str, status: int
    ) -> None:
        sandbox.configure(bad_token_status=status)
        with pytest.raises(InvalidCredentials) as caught:
            warehouse.load(sandbox, table, graphql_token="gql_wrong")
        message = str(caught.value)
        assert "Invalid X-Refersion-Key" in message
        assert "Check REFERSION_GRAPHQL_TOKEN" in message
        assert "Account > Settings > Refersion API > GraphQL" in message
        assert "gql_wrong" not in message
        assert sum(sandbox.requests().values()) == 1

    @pytest.mark.parametrize("path", ["/nowhere", "/v2/affiliate/list"])
    def test_an_address_that_is_no_graphql_api_is_said(self, sandbox: SandboxServer, path: str) -> None:
        with pytest.raises(RefersionError, match=r"REFERSION_GRAPHQL_(URL|TOKEN)"):
            read(sandbox, "offers", graphql_url=f"{sandbox.url}{path}")

    @pytest.mark.parametrize("message", limit_cases(["Too many requests", "Rate limit exceeded", "Internal error"]))
    def test_an_error_in_a_200_that_may_pass_is_tried_again(
        self, sandbox: SandboxServer, pristine: dict[str, list[Row]], message: str
    ) -> None:
        sandbox.fault("graphql", "graphql-error", message=message, times=2)
        assert rows(read(sandbox, "offers")) == pristine["offers"]

    def test_a_query_that_is_refused_says_why(self, sandbox: SandboxServer) -> None:
        sandbox.fault("graphql:offers", "graphql-error", message="Validation failed: too complex", times=None)
        with pytest.raises(RequestRefused, match="Validation failed: too complex"):
            read(sandbox, "offers")

"""The account's GraphQL schemas are kept by date, and each change names the tables that stand on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.ingest.history.schemas import SchemaChange, compare
from refersion_dagster.refersion.api.schema_use import find_uses
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.checks.check_evaluation import evaluate
from refersion_dagster_tests.location import Outcome, account_of, held_open, materialise

TABLES = ("refersion/offers", "refersion/graphql_schemas", "refersion/schema_changes")
CHANGES = """
SELECT element, change, type_before, type_after, used_by, is_breaking FROM refersion_data.schema_changes ORDER BY 1
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with held_open(tmp_path / "w.duckdb") as path:
        yield Warehouse(duckdb_path=str(path))


def load(sandbox: SandboxServer, warehouse: Warehouse, *tables: str, **account: Any) -> Outcome:
    done = materialise(account_of(sandbox, **account), warehouse, *(tables or TABLES))
    assert done.success, done.failure
    return done


def is_warned(warehouse: Warehouse) -> bool:
    """Whether the check of the last changes fails."""
    name = "refersion/schema_changes:schema_changes_affect_nothing"
    return not evaluate(warehouse, name)[name].passed


def test_a_change_is_kept_once_with_what_stands_on_it(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    load(sandbox, warehouse)
    assert warehouse.query(CHANGES) == []
    sandbox.advance(days=1)
    sandbox.configure(
        remove_fields=["Offer.cookie_days", "Creative.url"],
        remove_arguments=["conversions.payment_status"],
        add_fields={"Offer.tier": "Int", "Shop.plan": "String"},
    )
    done = load(sandbox, warehouse)
    assert warehouse.query(CHANGES) == [
        ("Affiliate.conversions(payment_status)", "removed", "String", None, None, False),
        ("Creative.url", "removed", "String", None, None, False),
        ("Offer.cookie_days", "removed", "Int", None, "offers.cookie_days", True),
        ("Offer.tier", "added", None, "Int", "offers.tier", False),
        ("Query.conversions(payment_status)", "removed", "String", None, None, False),
        ("Shop.plan", "added", None, "String", None, False),
    ]
    assert any("Offer.cookie_days was removed (read into offers.cookie_days)" in line for line in done.log)
    assert is_warned(warehouse)
    sandbox.advance(days=1)
    load(sandbox, warehouse)
    schemas = warehouse.query("SELECT CAST(seen_at AS DATE) FROM refersion_data.graphql_schemas ORDER BY 1")
    assert [f"{day}" for (day,) in schemas] == ["2025-07-01", "2025-07-02"]
    sandbox.advance(days=1)
    sandbox.configure(add_fields={"Offer.tier": "Int", "Shop.plan": "String", "Shop.size": "Int"})
    load(sandbox, warehouse)
    # A later change does not end the warning before 30 days are over.
    assert is_warned(warehouse)
    sandbox.advance(days=31)
    sandbox.configure(add_fields={"Offer.tier": "Int", "Shop.plan": "String"})
    load(sandbox, warehouse)
    assert not is_warned(warehouse)


def test_what_comes_back_is_no_longer_warned_of(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    load(sandbox, warehouse)
    for removed, expected in ((["Offer.cookie_days"], True), ([], False)):
        sandbox.advance(days=1)
        sandbox.configure(remove_fields=removed)
        load(sandbox, warehouse)
        assert is_warned(warehouse) is expected


@pytest.mark.parametrize(
    ("switches", "account", "reason"),
    [
        ({"introspection": "refused"}, {}, "GraphQL introspection is not allowed."),
        ({}, {"graphql_token": None}, "No table of the GraphQL API was read."),
    ],
)
def test_without_a_schema_there_is_none_and_the_reason(
    sandbox: SandboxServer, warehouse: Warehouse, switches: dict[str, Any], account: dict[str, Any], reason: str
) -> None:
    sandbox.configure(**switches)
    done = load(sandbox, warehouse, *TABLES, "refersion/affiliate_list", **account)
    assert reason in done.metadata["refersion/graphql_schemas"]["not_read"]
    assert warehouse.query("SELECT count(*) FROM refersion_data.graphql_schemas") == [(0,)]
    assert not is_warned(warehouse)


@pytest.mark.parametrize("clicks", ["root", "offers"])
def test_the_elements_that_queries_use_are_those_that_are_in_them(sandbox: SandboxServer, clicks: str) -> None:
    sandbox.configure(clicks=clicks)
    schema = account_of(sandbox).account().graphql.schema()
    assert schema
    uses = find_uses(schema)
    assert set(uses) <= set(schema.elements)
    assert uses["Conversion.total"] == ["conversions.total"]
    assert uses["Affiliate.email"] == ["affiliates.email", "conversions.affiliate__email", "payments.affiliate__email"]
    assert uses["Query.conversions(created_from)"] == ["conversions"]
    assert uses["TotalResults.payments"] == ["payments"]
    assert "Creative.url" not in uses
    place = {"root": "Query.clicks", "offers": "Offer.clicks"}[clicks]
    assert uses[place] == ["clicks"]
    assert uses["Click.sub_id"] == ["clicks.sub_id", "conversions.click__sub_id"]


@pytest.mark.parametrize(
    ("before", "after", "change", "is_breaking"),
    [
        ("String", "Int", "changed", True),
        ("String", "String!", "changed", False),
        ("String!", "String", "changed", True),
        ("String", "[String]", "changed", True),
        ("String", "String @deprecated", "deprecated", False),
        ("String", None, "removed", True),
        (None, "String", "added", False),
    ],
)
def test_what_breaks_a_column(before: str | None, after: str | None, change: str, is_breaking: bool) -> None:
    def of(text: str | None) -> dict[str, str]:
        return {} if text is None else {"Offer.name": text}

    uses = {"Offer.name": "offers.name"}
    (found,) = compare(of(before), of(after), uses if before else {}, uses if after else {})
    assert found == SchemaChange("Offer.name", change, before, after, "offers.name", is_breaking)
    if before:  # a field that nothing reads
        assert not any(one.is_breaking for one in compare(of(before), of(after), {}, {}))


@pytest.mark.parametrize(("argument", "is_breaking"), [("Int!", True), ("Int", False), ("Int! = 10", False)])
def test_a_further_argument_breaks_a_list_only_if_it_is_required(argument: str, is_breaking: bool) -> None:
    before = {"Query.offers": "[Offer]"}
    uses = {"Query.offers": "offers"}
    (found,) = compare(before, before | {"Query.offers(shop)": argument}, uses, uses)
    assert (found.change, found.is_breaking) == ("added", is_breaking)

"""The code location on accounts whose GraphQL API has fewer fields, more fields, or no introspection."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import Outcome, account_of, materialise, query


def loaded(sandbox: SandboxServer, database: Path) -> Outcome:
    """Materialises conversions and affiliates."""
    assets = ("refersion/affiliates", "refersion/conversions")
    outcome = materialise(account_of(sandbox), Warehouse(duckdb_path=str(database)), *assets)
    assert outcome.success, outcome.failure
    assert query(database, "SELECT count(*) FROM refersion_data.conversions") == [
        (sandbox.sums()["number_of_conversions"],)
    ]
    return outcome


def due(sandbox: SandboxServer) -> dict[str, Decimal]:
    """Approved and unpaid commission by currency, according to Refersion."""
    return {
        row["currency"]: Decimal(row["commission_total"])
        for row in sandbox.sums()["conversions"]
        if (row["status"], row["payment_status"]) == ("APPROVED", "UNPAID")
    }


def summed_due(database: Path) -> dict[str, Decimal]:
    return dict(
        query(
            database,
            "SELECT currency, sum(commission_total) FROM refersion_data.conversions WHERE status = 'APPROVED' "
            "AND payment_status = 'UNPAID' AND NOT is_test_conversion GROUP BY currency",
        )
    )


def of_conversions(outcome: Outcome) -> dict[str, Any]:
    return outcome.metadata["refersion/conversions"]


@pytest.mark.exhaustive
def test_fields_that_are_gone_are_null_and_told(sandbox: SandboxServer, database: Path) -> None:
    sandbox.configure(remove_fields=["Conversion.coupon_code", "Conversion.notes", "Affiliate.country"])
    told = loaded(sandbox, database)
    assert {"coupon_code", "notes"} <= set(of_conversions(told)["fields_missing"])
    assert told.metadata["refersion/affiliates"]["fields_missing"] == ["country"]
    assert query(database, "SELECT count(coupon_code) FROM refersion_data.conversions") == [(0,)]


@pytest.mark.exhaustive
def test_statuses_that_are_gone_are_filled_by_one_pass_a_value(sandbox: SandboxServer, database: Path) -> None:
    sandbox.configure(remove_fields=["Conversion.status", "Conversion.payment_status"])
    told = of_conversions(loaded(sandbox, database))
    assert set(told["fields_filled"]) == {"status", "payment_status"}
    assert summed_due(database) == due(sandbox)


def test_further_fields_land_as_text_and_are_told(sandbox: SandboxServer, database: Path) -> None:
    sandbox.configure(add_fields={"Conversion.loyalty_tier": "String", "Conversion.risk_score": "Float"})
    told = of_conversions(loaded(sandbox, database))
    assert told["fields_extra"] == ["loyalty_tier", "risk_score"]
    columns = {column.name: column for column in told["dagster/column_schema"].columns}
    assert columns["loyalty_tier"].type == "text"
    assert query(
        database,
        "SELECT data_type FROM duckdb_columns() WHERE schema_name = 'refersion_data' AND column_name = 'risk_score'",
    ) == [("VARCHAR",)]


@pytest.mark.exhaustive
def test_lists_of_scalars_land_as_json_and_what_is_left_out_is_named(sandbox: SandboxServer, database: Path) -> None:
    sandbox.configure(add_fields={"Conversion.tags": "[String]", "Click.device": "String", "Shop.plan": "String"})
    told = of_conversions(loaded(sandbox, database))
    assert told["fields_extra"] == ["tags"]
    assert query(database, "SELECT DISTINCT tags FROM refersion_data.conversions") == [('["gold"]',)]
    assert told["not_loaded"]["shop"] == "of the object Shop: currency, plan, shop_identifier, url"
    assert "device" in told["not_loaded"]["click"]
    assert told["not_loaded"]["creatives (root)"] == "it is not a table"


@pytest.mark.exhaustive
def test_a_field_may_come_and_go_between_runs(sandbox: SandboxServer, database: Path) -> None:
    loaded(sandbox, database)
    sandbox.configure(add_fields={"Conversion.loyalty_tier": "String"}, remove_fields=["Conversion.source"])
    loaded(sandbox, database)
    sandbox.configure(add_fields={}, remove_fields=[])
    told = of_conversions(loaded(sandbox, database))
    assert "fields_extra" not in told
    assert "fields_missing" not in told


@pytest.mark.exhaustive
@pytest.mark.parametrize("refusal", ["refused", "refused_400", "refused_403"])
def test_without_introspection_fields_are_found_by_trial_and_the_figures_are_the_same(
    sandbox: SandboxServer, database: Path, refusal: str
) -> None:
    sandbox.configure(introspection=refusal, remove_fields=["Conversion.notes", "Conversion.payment_status"])
    outcome = loaded(sandbox, database)
    assert any("introspection is refused" in line for line in outcome.log)
    told = of_conversions(outcome)
    assert "notes" in told["fields_missing"]
    assert told["fields_filled"] == ["payment_status"]
    assert summed_due(database) == due(sandbox)

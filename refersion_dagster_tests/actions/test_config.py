"""The configuration of each operation's job in Dagster's Launchpad."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.actions.operations.catalog import ENDPOINTS, Endpoint
from refersion_dagster.actions.orchestration.config import config_class
from refersion_dagster.actions.orchestration.specs import action_specs

BY_NAME = pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda one: one.name)


def fields(of: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every field that the Launchpad shows, including nested ones, with its path."""
    for name, field in of.items():
        yield f"{path}{name}", field
        kind = field.config_type
        for inner in (
            kind,
            getattr(kind, "inner_type", None),
            getattr(getattr(kind, "inner_type", None), "inner_type", None),
        ):
            if inner is not None and getattr(inner, "fields", None):
                yield from fields(inner.fields, f"{path}{name}.")


@BY_NAME
def test_each_field_explains_itself(endpoint: Endpoint) -> None:
    shown = dict(fields(config_class(endpoint).to_fields_dict()))
    assert {"requested_by", "dry_run", "items", "items.key"} <= set(shown)
    assert [path for path, field in shown.items() if not field.description] == []
    assert ("items.skus.price" in shown) == (endpoint.name == "conversion_cancel")


@BY_NAME
def test_who_asks_and_the_date_are_required_and_a_dry_run_is_the_default(endpoint: Endpoint) -> None:
    shown = config_class(endpoint).to_fields_dict()
    assert [name for name, field in shown.items() if field.is_required] == ["requested_by", "launched_on"]
    assert shown["dry_run"].default_value is True


def test_limits_are_shown_where_they_hold() -> None:
    shown = {name: set(config_class(endpoint).model_fields) for name, endpoint in ENDPOINTS.items()}
    assert {name for name, names in shown.items() if "max_commission" in names} == {
        "conversion_manual_credit",
        "conversion_manual_credit_order_id",
        "conversion_status_change",
        "conversion_cancel",
    }
    assert {name for name, names in shown.items() if "batch_size" in names} == {
        "affiliate_status_change",
        "affiliate_edit",
        "conversion_status_change",
        "new_sku_commission",
    }
    assert {name for name, names in shown.items() if "repeats" in names} == {"conversion_manual_credit"}


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"affiliate_id": 1, "commission": "1", "currency": "USD", "status": "DENIED"}, "DENIED"),
        ({"affiliate_id": 1, "commission": 1.5, "currency": "USD", "status": "PENDING"}, "commission"),
        ({"affiliate_id": 1, "commission": "1", "currency": "USD"}, "status"),
        ({"affiliate_id": 1, "commission": "1", "currency": "USD", "status": "PENDING", "note": "x"}, "note"),
    ],
    ids=["a word outside of the list", "an amount that is no text", "a field missing", "a field unknown"],
)
def test_the_launchpad_refuses_what_has_the_wrong_form(item: dict[str, Any], why: str) -> None:
    from refersion_dagster_tests.actions.actions_harness import CREDIT, by_hand, job_of

    config = {"ops": {CREDIT: {"config": {**by_hand(), "items": [item]}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match=why):
        dg.validate_run_config(job_of(ENDPOINTS[CREDIT]), config)


@pytest.mark.parametrize("spec", action_specs(), ids=lambda spec: spec.key.path[-1])
def test_each_asset_says_what_it_is_and_which_job_writes_it(spec: dg.AssetSpec) -> None:
    name = spec.key.path[-1]
    assert f"`actions_{name}`" in (spec.description or "")
    assert (spec.group_name, spec.owners, spec.metadata["dagster/table_name"]) == (
        "actions",
        ["team:data"],
        f"refersion_data.{name}",
    )
    columns = spec.metadata["dagster/column_schema"].columns
    assert [column.name for column in columns if not column.description] == []
    assert len({column.name for column in columns}) == len(columns)
    assert "password" not in {column.name for column in columns}

"""REST v2 against its OpenAPI description: every response matches the contract, whatever the request."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema_rs import Draft4Validator
from schemathesis import checks

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.sandbox.api.rest import OPERATIONS
from refersion_dagster_tests.marks import limit_cases

DESCRIPTION = Path(__file__).parent / "refersion-rest-v2.openapi.yml"
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
SETTINGS = settings(
    max_examples=12,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def contract_of_rest() -> dict[str, Any]:
    """The description. Parts shared by several operations are copied, because ids are inserted into them."""
    return json.loads(json.dumps(yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))))


def described(sandbox: SandboxServer) -> dict[str, Any]:
    """The description with the sandbox's ids as additional values, so that successful requests are tested too."""
    description = contract_of_rest()
    account = sandbox.account
    affiliates, conversions = list(account.affiliates.values()), list(account.conversions.values())
    known = {
        "affiliate_code": [*(row.code for row in affiliates[:3]), "none"],
        "affiliate_id": [*(row.id for row in affiliates[:3]), 1],
        "offer_id": [*map(str, account.offers), "1"],
        "offer": [*map(str, account.offers), "1"],
        "order_id": [*(row.order_id for row in conversions[:5] if row.order_id), "none"],
        "report_id": [3701, 3702, 3703, 3704, 1],
        "keyword": ["example", affiliates[0].code, str(affiliates[1].id), "nobody"],
        "password": ["Secure!Pass1", "Secure!Pass2", "short"],
        "currency": ["USD", "EUR", "XXX"],
        "email": [f"new{number}@example.com" for number in range(20)] + ["nowhere"],
        "first_name": ["Bill", "美咲", "<b>"],
        "last_name": ["Smith", "O'Reilly", '"'],
        "paypal_email": ["pay@example.com", ""],
        "country": ["US", "GB"],
        "unique_merchant_id": ["abc123"],
        "commission_amount": ["10", "12.5"],
        "sku": ["MUG-BLUE", "MUG-RED", "ÄÖ 1"],
        "price": [9.99, 1],
        "quantity": [1, 2, 0],
    }
    for path, item in description["paths"].items():
        body = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        ids = conversions[:5] + conversions[-5:] if path == "/conversion/status_change" else affiliates
        for name, field in fields(body):
            kind = field.get("type")
            values = [*(row.id for row in ids[:10]), 1] if name in ("id", "ids") else known.get(name)
            if values is not None and kind in ("string", "integer", "number"):
                field["enum"] = [int(value) if kind == "integer" else value for value in values]
            elif name == "ids":
                field["items"]["enum"] = values
    return description


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for option in [schema, *schema.get("oneOf", []), schema.get("items", {})]:
        for name, field in option.get("properties", {}).items():
            yield name, field
            yield from fields(field)


@pytest.fixture(scope="module")
def contract() -> Iterator[Any]:
    with SandboxServer(SandboxSettings(affiliates=40, orders=400)) as sandbox:
        schema = schemathesis.openapi.from_dict(described(sandbox))
        schema.config.update(base_url=sandbox.rest_url, headers=keys(sandbox))
        yield schema


def keys(sandbox: SandboxServer) -> dict[str, str]:
    return {"Refersion-Public-Key": sandbox.public_key, "Refersion-Secret-Key": sandbox.secret_key}


def answered(contract: Any, path: str, mode: schemathesis.GenerationMode) -> set[int]:
    """The statuses of the requests of one mode, each checked against the contract."""
    seen: set[int] = set()

    @SETTINGS
    @given(case=contract[path]["POST"].as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        seen.add(case.call_and_validate(checks=CHECKS, timeout=20).status_code)

    check()
    return seen


@pytest.mark.parametrize("path", limit_cases(sorted(OPERATIONS), 2))
def test_what_the_contract_allows_is_answered_by_it_and_succeeds(contract: Any, path: str) -> None:
    seen = answered(contract, path, schemathesis.GenerationMode.POSITIVE)
    assert 200 in seen, f"{path} was never answered with a success: {seen}"


@pytest.mark.parametrize("path", limit_cases(sorted(OPERATIONS), 2))
def test_what_the_contract_forbids_is_answered_by_it(contract: Any, path: str) -> None:
    assert answered(contract, path, schemathesis.GenerationMode.NEGATIVE)


def test_the_contract_describes_each_operation_and_no_other() -> None:
    assert set(contract_of_rest()["paths"]) == set(OPERATIONS)


def test_each_sample_of_the_contract_has_the_form_it_stands_for() -> None:
    contract = contract_of_rest()
    samples = [
        answer["content"]["application/json"]
        for item in contract["paths"].values()
        for answer in item["post"]["responses"].values()
        if "content" in answer
    ]
    assert len([sample for sample in samples if "example" in sample]) == len(samples)
    for sample in samples:
        schema = {**sample["schema"], "components": contract["components"]}
        Draft4Validator(schema).validate(sample["example"])

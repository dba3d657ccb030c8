"""REST v2 against its OpenAPI description: whatever is sent, each answer is one that the contract knows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from refersion_dagster.sandbox import SandboxServer, SandboxSettings

DESCRIPTION = Path(__file__).parent / "refersion-rest-v2.openapi.yml"
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
SETTINGS = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def described(sandbox: SandboxServer) -> dict[str, Any]:
    """The description with ids that the sandbox holds offered beside others, so that successes are tested too."""
    description = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    account = sandbox.account
    affiliates, conversions = list(account.affiliates.values()), list(account.conversions.values())
    known = {
        "affiliate_code": [row.code for row in affiliates[:3]] + ["none"],
        "affiliate_id": [row.id for row in affiliates[:3]] + [1],
        "offer_id": [str(number) for number in account.offers] + ["1"],
        "offer": [str(number) for number in account.offers] + ["1"],
        "order_id": [row.order_id for row in conversions if row.order_id][:5] + ["none"],
        "report_id": [3701, 3702, 3703, 3704, 1],
        "keyword": ["example", affiliates[0].code, str(affiliates[1].id), "nobody"],
        "password": ["Secure!Pass1", "short"],
        "currency": ["USD", "EUR", "XXX"],
    }
    for path, item in description["paths"].items():
        body = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        ids = conversions[:5] + conversions[-5:] if path == "/conversion/status_change" else affiliates
        for name, field in fields(body):
            kind = field.get("type")
            values = [row.id for row in ids[:10]] + [1] if name in ("id", "ids") else known.get(name)
            if values is not None and kind in ("string", "integer", "number"):
                field["enum"] = [value if kind == "string" else int(value) for value in values]
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


lazy = schemathesis.pytest.from_fixture("contract")


@lazy.parametrize()
@SETTINGS
def test_each_answer_is_one_of_the_contract(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=CHECKS, timeout=20)

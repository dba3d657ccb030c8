"""REST v2: credentials, request bodies, and routing to the 15 operations."""

import hmac
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.api import rest_affiliates, rest_conversions, rest_triggers
from refersion_dagster.sandbox.api.reports import SavedReports, link_operation
from refersion_dagster.sandbox.api.rest_fields import Fields, RestError, make_unprocessable
from refersion_dagster.sandbox.response import SandboxResponse

Operation = Callable[[Account, Fields], Any]

OPERATIONS: dict[str, tuple[Operation | None, tuple[str, ...]]] = {
    "/affiliate/new": (rest_affiliates.new, rest_affiliates.NEW_FIELDS),
    "/affiliate/get": (rest_affiliates.get, ("id", "affiliate_code")),
    "/affiliate/list": (rest_affiliates.list_affiliates, ("limit", "page")),
    "/affiliate/search": (rest_affiliates.search, ("keyword", "first_name", "last_name", "page")),
    "/affiliate/edit": (rest_affiliates.edit, ("affiliates",)),
    "/affiliate/status_change": (rest_affiliates.status_change, ("ids", "status")),
    "/affiliate/trigger": (rest_triggers.trigger, ("affiliate_code", "type", "trigger")),
    "/trigger/delete": (rest_triggers.trigger_delete, ("affiliates",)),
    "/conversion/totals": (
        rest_conversions.totals,
        (
            "status",
            "created_from",
            "created_to",
            "offer_id",
            "affiliate_id",
            "payment_status",
            "type",
            "is_test_conversion",
            "currency",
        ),
    ),
    "/conversion/manual_credit": (rest_conversions.manual_credit, ("id", "commission", "status", "currency", "notes")),
    "/conversion/manual_credit_order_id": (
        rest_conversions.manual_credit_order_id,
        ("id", "order_id", "status", "notes"),
    ),
    "/conversion/status_change": (rest_conversions.status_change, ("ids", "status")),
    "/conversion/cancel": (rest_conversions.cancel, ("order_id", "items")),
    "/offer/new_sku_commission": (rest_triggers.new_sku_commission, ("offer_id", "skus")),
    "/reporting/link": (None, ("report_id",)),
}

NO_BODY = "Bad request, no body"
LIBRARY_USER_AGENTS = ("python-", "python/", "aiohttp", "go-http-client", "java/", "okhttp", "node-fetch", "axios")


class RestApi:
    """The REST side of one account."""

    def __init__(self, account: Account, reports: SavedReports) -> None:
        self.account = account
        self.reports = reports

    def refusal(self, path: str, headers: Mapping[str, str]) -> SandboxResponse | None:
        """The error of the edge or of the credentials, which are checked before any operation; None if both pass."""
        account = self.account
        agent = headers.get("user-agent", "").lower()
        if account.switches.refuse_library_user_agents and (not agent or agent.startswith(LIBRARY_USER_AGENTS)):
            return SandboxResponse.json(403, {"message": "Forbidden"})
        if path not in OPERATIONS or not {"refersion-public-key", "refersion-secret-key"} <= set(headers):
            return SandboxResponse.json(403, {"message": "Forbidden"})
        keys = headers.get("refersion-public-key", ""), headers.get("refersion-secret-key", "")
        right = account.keys[:2]
        if not all(hmac.compare_digest(*map(str.encode, pair)) for pair in zip(keys, right, strict=True)):
            return SandboxResponse.json(401, {"error": "Invalid API credentials (error 2)."})
        return None

    def answer(self, path: str, content_type: str, body: bytes, site: str) -> SandboxResponse:
        """Perform the operation. A body that is not a JSON object or not sent as JSON counts as empty (inferred)."""
        operation, names = OPERATIONS[path]
        sent = _json_object(body) if content_type.partition(";")[0].strip().lower() == "application/json" else None
        if sent is None:
            return SandboxResponse.json(404, {"error": [NO_BODY] if path == "/affiliate/edit" else NO_BODY})
        fields = Fields(sent)
        with self.account.lock:
            try:
                if path in self.account.switches.plan_excludes:
                    raise make_unprocessable("Your account plan does not support this feature (error 1).")
                if self.account.switches.refuse_unknown_fields:
                    fields.known(names)
                run = operation or link_operation(self.reports, site)
                return SandboxResponse.json(200, run(self.account, fields))
            except RestError as refused:
                return refused.answer


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None

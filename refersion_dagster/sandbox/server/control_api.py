"""The control API under `/_sandbox/`: changes to the account and its server for tests and demonstrations.

It needs no credentials and accepts requests from this machine only. Bodies and responses are JSON. A request that is
not possible is a 400, a record that does not exist a 404, each as {"error": "..."}.

| | |
|---|---|
| GET, POST /clock | the time; `{"advance_days": 1}`, `{"advance_seconds": 60}` or `{"to": "2026-08-01T00:00:00Z"}` |
| GET, POST, DELETE /faults | the pending faults; add one (`faults.Fault`); clear them |
| GET, POST /settings | the switches (`settings.Switches`); change some of them |
| GET /sums | the account's ground truth |
| GET, DELETE /requests | requests per route; reset the counts |
| POST /conversions | insert a row with any values |
| PATCH, DELETE /conversions/{id} | change (status, amounts, `affiliate_id`, `created`, …) or delete a row |
| POST /conversions/{id}/cancellations | cancel part of an order: `{"total": "5.00", "commission": "0.50"}` |
| PATCH, DELETE /affiliates/{id} | change or delete an affiliate |
| POST /payments | pay due rows: `{"conversion_ids": […]}`; `"created"` and `"payment_id"` may be given |
| POST /payments/{id}/undo | delete the payment and mark its rows as unpaid |
| DELETE /payments/{id} | delete the payment and leave its rows unchanged |
| POST /rewards | grant the reward for a bonus tier: `{"offer_id": 1, "milestone": "50 orders", "amount": "25.00"}` |
| GET /truth?at=… | what was pending, due and paid at a point in time; with `&rows=true` also every row |
| GET /movements?after=…&until=… | what changed the commission due between two points in time, by currency |
| GET /events?after=…&until=… | every change of a row between two points in time, with the row before and after it |
| GET, POST, DELETE /incidents | the status page's summary; report an incident: `{"name": …, "impact": "major", \
"components": ["GraphQL API"]}`; resolve all |
| GET, POST, DELETE /webhooks | delivery counts; send events to `{"url": …, "secret": …, "topics": […]}`; stop sending |
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from refersion_dagster.sandbox.account import FOREVER, TOPICS
from refersion_dagster.sandbox.clock import from_iso
from refersion_dagster.sandbox.response import SandboxResponse
from refersion_dagster.sandbox.sandbox import Sandbox
from refersion_dagster.sandbox.truth import as_texts

Act = Callable[[Sandbox, dict[str, Any], dict[str, Any]], Any]

_CLOCK = {"advance_days": "days", "advance_seconds": "seconds", "to": "to"}


def control_routes(sandbox: Sandbox) -> list[Route]:
    acts: dict[tuple[str, str], Act] = {
        ("GET", "/clock"): lambda sandbox, _body, _path: sandbox.clock(),
        ("POST", "/clock"): _move_clock,
        ("GET", "/faults"): lambda sandbox, _body, _path: sandbox.faults.list_pending(),
        ("POST", "/faults"): _add_fault,
        ("DELETE", "/faults"): _clear_faults,
        ("GET", "/settings"): lambda sandbox, _body, _path: sandbox.switches(),
        ("POST", "/settings"): lambda sandbox, body, _path: sandbox.configure(**body),
        ("GET", "/sums"): lambda sandbox, _body, _path: sandbox.sums(),
        ("GET", "/requests"): lambda sandbox, _body, _path: sandbox.requests(),
        ("DELETE", "/requests"): _forget_requests,
        ("POST", "/conversions"): lambda sandbox, body, _path: {"id": sandbox.insert_conversion(**body)},
        ("PATCH", "/conversions/{id:int}"): _change_conversion,
        ("DELETE", "/conversions/{id:int}"): _delete_conversion,
        ("POST", "/conversions/{id:int}/cancellations"): _cancel_part,
        ("PATCH", "/affiliates/{id:int}"): _change_affiliate,
        ("DELETE", "/affiliates/{id:int}"): _delete_affiliate,
        ("POST", "/payments"): lambda sandbox, body, _path: {"id": sandbox.enter_payment(**body)},
        ("POST", "/payments/{id:int}/undo"): lambda sandbox, _body, path: {"ids": sandbox.undo_payment(path["id"])},
        ("DELETE", "/payments/{id:int}"): _delete_payment,
        ("POST", "/rewards"): lambda sandbox, body, _path: {"id": sandbox.reach_bonus_tier(**body)},
        ("GET", "/truth"): _truth,
        ("GET", "/movements"): _movements,
        ("GET", "/events"): _events,
        ("GET", "/incidents"): lambda sandbox, _body, _path: sandbox.status.summary(sandbox.account.now),
        ("POST", "/incidents"): lambda sandbox, body, _path: sandbox.report_incident(**body),
        ("DELETE", "/incidents"): lambda sandbox, _body, _path: sandbox.resolve_incidents(),
        ("GET", "/webhooks"): lambda sandbox, _body, _path: sandbox.webhooks.state(),
        ("POST", "/webhooks"): _send_webhooks,
        ("DELETE", "/webhooks"): _stop_webhooks,
    }
    return [
        Route(f"/_sandbox{path}", _endpoint(sandbox, act), methods=[method]) for (method, path), act in acts.items()
    ]


def _endpoint(sandbox: Sandbox, act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return _response(_answer(sandbox, act, request, await request.body()))

    return endpoint


def _answer(sandbox: Sandbox, act: Act, request: Request, body: bytes) -> SandboxResponse:
    if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
        return SandboxResponse.json(403, {"error": "the control API answers this machine only"})
    try:
        values = json.loads(body) if body else {}
        if not isinstance(values, dict):
            return SandboxResponse.json(400, {"error": "the body is not a JSON object"})
        return SandboxResponse.json(200, act(sandbox, values, {**request.query_params, **request.path_params}))
    except KeyError as error:
        return SandboxResponse.json(404, {"error": f"there is no {error}"})
    except (ValueError, TypeError) as error:
        return SandboxResponse.json(400, {"error": str(error)})


def _response(answer: SandboxResponse) -> Response:
    return Response(answer.body, answer.status, media_type=answer.media_type)


def _move_clock(sandbox: Sandbox, body: dict[str, Any], _path: dict[str, Any]) -> Any:
    if len(body) != 1 or next(iter(body)) not in _CLOCK:
        raise ValueError(f"give one of {', '.join(_CLOCK)}")
    ((name, value),) = body.items()
    if isinstance(value, bool) or not isinstance(value, str if name == "to" else int | float):
        raise ValueError(f"{value!r} is not a valid value of {name}")
    step: dict[str, Any] = {_CLOCK[name]: value}
    sandbox.advance(**step)
    return sandbox.clock()


def _add_fault(sandbox: Sandbox, body: dict[str, Any], _path: dict[str, Any]) -> Any:
    sandbox.add_fault(body)
    return sandbox.faults.list_pending()


def _clear_faults(sandbox: Sandbox, _body: dict[str, Any], _path: dict[str, Any]) -> Any:
    sandbox.clear_faults()
    return []


def _forget_requests(sandbox: Sandbox, _body: dict[str, Any], _path: dict[str, Any]) -> Any:
    sandbox.forget_requests()
    return {}


def _change_conversion(sandbox: Sandbox, body: dict[str, Any], path: dict[str, Any]) -> Any:
    sandbox.change_conversion(path["id"], **body)
    return {"id": path["id"]}


def _delete_conversion(sandbox: Sandbox, _body: dict[str, Any], path: dict[str, Any]) -> Any:
    sandbox.delete_conversion(path["id"])
    return {"id": path["id"]}


def _cancel_part(sandbox: Sandbox, body: dict[str, Any], path: dict[str, Any]) -> Any:
    return {"id": sandbox.cancel_part(path["id"], **body)}


def _delete_affiliate(sandbox: Sandbox, _body: dict[str, Any], path: dict[str, Any]) -> Any:
    sandbox.delete_affiliate(path["id"])
    return {"id": path["id"]}


def _delete_payment(sandbox: Sandbox, _body: dict[str, Any], path: dict[str, Any]) -> Any:
    sandbox.delete_payment(path["id"])
    return {"id": path["id"]}


def _truth(sandbox: Sandbox, _body: dict[str, Any], query: dict[str, Any]) -> Any:
    truth = sandbox.account.truth(query.get("at", sandbox.account.now))
    return truth.as_json(rows=query.get("rows") == "true")


def _movements(sandbox: Sandbox, _body: dict[str, Any], query: dict[str, Any]) -> Any:
    found = sandbox.account.movements(query["after"], query.get("until", sandbox.account.now))
    return {currency: as_texts(lines) for currency, lines in sorted(found.items())}


def _events(sandbox: Sandbox, _body: dict[str, Any], query: dict[str, Any]) -> Any:
    account = sandbox.account
    with account.lock:
        log = account.get_log()
        after = from_iso(query["after"]) if "after" in query else -FOREVER
        until = from_iso(query["until"]) if "until" in query else FOREVER
        return [event.as_json() for event in log.events_between(after, until)]


def _change_affiliate(sandbox: Sandbox, body: dict[str, Any], path: dict[str, Any]) -> Any:
    sandbox.change_affiliate(path["id"], **body)
    return {"id": path["id"]}


def _send_webhooks(sandbox: Sandbox, body: dict[str, Any], _path: dict[str, Any]) -> Any:
    topics = body.get("topics", list(TOPICS))
    texts = [body.get("url"), body.get("secret"), *(topics if isinstance(topics, list) else [None])]
    if not all(isinstance(text, str) for text in texts) or set(body) - {"url", "secret", "topics"}:
        raise ValueError('give "url" and "secret" as texts, and "topics" as a list of texts or not at all')
    return sandbox.send_webhooks(**body)


def _stop_webhooks(sandbox: Sandbox, _body: dict[str, Any], _path: dict[str, Any]) -> Any:
    sandbox.webhooks.stop()
    return sandbox.webhooks.state()

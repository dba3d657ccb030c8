"""Faults on demand: which requests they affect, and what those requests receive."""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from refersion_dagster.sandbox.response import SandboxResponse

LATENCY, RESET, TRUNCATED, TRUNCATED_JSON, EMPTY_PAGE = "latency", "reset", "truncated", "truncated-json", "empty-page"
KINDS = (
    LATENCY,
    "429",
    "429-retry-after",
    "429-quota-reset",
    "500",
    "503-html",
    RESET,
    TRUNCATED,
    TRUNCATED_JSON,
    "graphql-error",
    "status",
    EMPTY_PAGE,
)
GROUPS = ("*", "graphql", "rest", "report", "status")
# These kinds modify the regular response.
AFTER_THE_WORK = (TRUNCATED, TRUNCATED_JSON, EMPTY_PAGE)


@dataclass(slots=True)
class Fault:
    """One fault on a route.

    route: `graphql:conversions`, `rest:/affiliate/list`, `graphql`, `rest`, `report`, `status` or `*`.
    kind: one of `KINDS`. `truncated` sends fewer bytes than Content-Length says and closes the connection;
    `truncated-json` sends half of the JSON with a matching Content-Length; `empty-page` returns GraphQL lists without
    rows.
    times: the number of requests affected (None: all until the faults are cleared), after the first `after` requests.
    seconds: latency, Retry-After, or the time until the quota resets. http_date: send Retry-After as a date.
    status, body: for kind `status`; the body is sent as JSON. message: for kind `graphql-error`.
    applied: the operation is performed but its response is lost (a write whose outcome the client cannot know).
    """

    route: str
    kind: str
    times: int | None = 1
    after: int = 0
    seconds: float = 1.0
    status: int = 500
    body: Any = None
    message: str = "Internal server error"
    http_date: bool = False
    applied: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}; available are {', '.join(KINDS)}")
        if self.route not in GROUPS and not self.route.startswith(("graphql:", "rest:/")):
            raise ValueError(
                f"{self.route!r} is not a route; e.g. graphql:conversions, rest:/affiliate/list, graphql, rest, *"
            )
        if not 100 <= self.status <= 599:
            raise ValueError(f"{self.status} is not an HTTP status")

    def answer(self) -> SandboxResponse:
        """The response that replaces the regular one. Status codes and texts of the gateway are inferred."""
        match self.kind:
            case "429" | "429-retry-after" | "429-quota-reset":
                return SandboxResponse.json(429, {"message": "Too Many Requests"}, self._limit_headers())
            case "503-html":
                page = b"<html><head><title>503</title></head><body><h1>Service Unavailable</h1></body></html>"
                return SandboxResponse(503, page, media_type="text/html")
            case "graphql-error":
                return SandboxResponse.json(200, {"errors": [{"message": self.message}], "data": None})
            case "status":
                return SandboxResponse.json(self.status, {"message": self.message} if self.body is None else self.body)
            case _:
                return SandboxResponse.json(500, {"message": self.message})

    def _limit_headers(self) -> dict[str, str]:
        if self.kind == "429-retry-after":
            date = format_datetime(datetime.now(UTC) + timedelta(seconds=self.seconds), usegmt=True)
            return {"Retry-After": date if self.http_date else f"{self.seconds:g}"}
        if self.kind == "429-quota-reset":
            reset = str(int(time.time() + self.seconds))
            return {"X-Quota-Limit": "100", "X-Quota-Remaining": "0", "X-Quota-Reset": reset}
        return {}


def fault_from_json(values: dict[str, Any]) -> Fault:
    """Build a fault from the control API's JSON. Raises ValueError naming the invalid value."""
    known = [item.name for item in fields(Fault)]
    for name in values:
        if name not in known:
            raise ValueError(f"a fault has no {name!r}; known are {', '.join(known)}")
    for name in ("route", "kind"):
        if not isinstance(values.get(name), str):
            raise ValueError(f"a fault needs {name!r} as a text")
    for name in ("times", "after", "status"):
        value = values.get(name)
        if name in values and not (isinstance(value, int) or (name == "times" and value is None)):
            raise ValueError(f"{name!r} of a fault is a whole number")
    if not isinstance(values.get("seconds", 0), int | float):
        raise ValueError("'seconds' of a fault is a number")
    return Fault(**values)


class Faults:
    """The pending faults, and the number of requests each route has received."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._requests: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def list_pending(self) -> list[dict[str, Any]]:
        """The pending faults, with what remains of `times` and `after`."""
        with self._lock:
            return [asdict(fault) for fault in self._waiting]

    def requests(self) -> dict[str, int]:
        with self._lock:
            return dict(self._requests)

    def forget_requests(self) -> None:
        with self._lock:
            self._requests.clear()

    def meet(self, routes: Sequence[str]) -> list[Fault]:
        """Count one request that belongs to `routes`, and return the faults that apply to it.

        Every latency applies, but only the first of the other faults. Faults that still skip requests (`after`) count
        this request.
        """
        group = routes[0].partition(":")[0]
        wanted = {*routes, group, "*"}
        met: list[Fault] = []
        with self._lock:
            for route in routes:
                self._requests[route] = self._requests.get(route, 0) + 1
            for fault in list(self._waiting):
                if fault.route not in wanted:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                elif fault.kind == LATENCY or all(other.kind == LATENCY for other in met):
                    met.append(fault)
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._waiting.remove(fault)
        return met

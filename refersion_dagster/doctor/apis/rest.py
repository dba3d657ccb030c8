"""Checks Refersion's REST API: connection, keys, operations in the plan, page size, clock. It only reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from refersion_dagster.doctor.costs import cost_of
from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, skipped, warned
from refersion_dagster.refersion.api import transport
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.rest import PAGE_SIZE, RestClient
from refersion_dagster.refersion.errors import (
    InvalidCredentials,
    MissingCredentials,
    NotInPlan,
    RefersionError,
    RequestRefused,
    ServerUnavailable,
    UnexpectedAnswer,
)
from refersion_dagster.refersion.windows import Window, whole_second

NAMES = ("rest_connection", "user_agent", "rest_keys", "rest_plan", "rest_pages", "clock")
LIST, GET, TOTALS = "/affiliate/list", "/affiliate/get", "/conversion/totals"
# Operations that read each table.
TABLES = {"affiliate_list": {LIST}, "affiliate_get": {LIST, GET}, "conversion_totals": {TOTALS}}
# With a larger difference, "now" is not the same moment for both clocks.
LARGEST_SKEW = timedelta(seconds=60)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CHECK_ADDRESS = "Check the network, HTTPS_PROXY and REFERSION_REST_URL."
PLAN = "REST and GraphQL require Refersion's Growth plan or higher; ask Refersion's support to enable them."


def check_rest(account: RefersionClient) -> Iterator[DoctorCheck]:
    try:
        client = account.rest
    except (MissingCredentials, InvalidCredentials):
        yield from (skipped(name, "no key pair set") for name in NAMES)
        return
    host = urlsplit(client.url).hostname or client.url
    began = time.monotonic()
    answer: Any = None
    problem: RefersionError | None = None
    try:
        answer = client.call(LIST, {"limit": str(PAGE_SIZE), "page": "1"})
    except RefersionError as error:
        problem = error
    took = round(1000 * (time.monotonic() - began))
    yield from _connection(problem, host, took)
    if isinstance(problem, ServerUnavailable | UnexpectedAnswer) or _is_edge(problem):
        because = f"{host} does not respond like Refersion"
        yield from (skipped(name, because) for name in NAMES[2:5])
    elif isinstance(problem, InvalidCredentials):
        yield failed("rest_keys", f"refused: {problem.said or problem.what}", str(problem.advice))
        yield from (skipped(name, "keys not accepted") for name in NAMES[3:5])
    else:
        yield passed("rest_keys", "accepted")
        yield _plan(client, problem, answer)
        yield _pages(problem, answer)
    yield _clock(client, host)


def _connection(problem: RefersionError | None, host: str, took: int) -> Iterator[DoctorCheck]:
    if isinstance(problem, ServerUnavailable):
        yield failed("rest_connection", _describe_briefly(problem), CHECK_ADDRESS, host=host)
        yield skipped("user_agent", "no response")
    elif isinstance(problem, UnexpectedAnswer):
        yield failed(
            "rest_connection", f"{host} responds, but not like Refersion: {_describe_briefly(problem)}", CHECK_ADDRESS
        )
        yield skipped("user_agent", f"{host} does not respond like Refersion")
    else:
        yield passed("rest_connection", f"{host} answers in {took} ms", host=host, milliseconds=took)
        if _is_edge(problem):
            yield failed(
                "user_agent",
                f"{host} rejects this program before it checks the keys: {_describe_briefly(problem)}",
                f"An edge, proxy or firewall in between rejects the user agent {transport.USER_AGENT!r} or this "
                "machine's address. Allow it there, or ask Refersion's support.",
                user_agent=transport.USER_AGENT,
            )
        else:
            yield passed("user_agent", "accepted", user_agent=transport.USER_AGENT)


def _is_edge(problem: RefersionError | None) -> bool:
    """Whether an edge, proxy or firewall refused the request: Refersion itself does not send a 403 (inferred)."""
    return isinstance(problem, RequestRefused) and "(HTTP 403)" in problem.what


def _describe_briefly(problem: RefersionError | None) -> str:
    """Describes an error without advice and counts."""
    if problem is None:
        return ""
    return f'{problem.what.rstrip(".")}: "{problem.said}"' if problem.said else problem.what.rstrip(".")


def _plan(client: RestClient, problem: RefersionError | None, answer: Any) -> DoctorCheck:
    """Tries the three operations that a refresh uses."""
    now = whole_second(datetime.now(UTC))
    rows = answer.get("results") if isinstance(answer, dict) else None
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else None
    attempts: dict[str, Callable[[], object]] = {
        TOTALS: lambda: client.conversion_count(Window(now - timedelta(1), now))
    }
    if first is not None and first.get("id"):
        attempts[GET] = lambda: client.affiliate_get(first, ids_are_numbers=str(first["id"]).isdigit())
    refused: dict[str, RefersionError] = {} if problem is None else {LIST: problem}
    for path, attempt in attempts.items():
        try:
            attempt()
        except RefersionError as error:
            refused[path] = error
    offered = [path for path in (LIST, *attempts) if path not in refused]
    if not refused:
        return passed(
            "rest_plan", f"includes everything that a refresh reads: {', '.join(offered)}", offered=offered, refused=[]
        )
    in_plan = all(isinstance(error, NotInPlan) for error in refused.values())
    told = "; ".join(
        f"{path} is {'not in the plan' if in_plan else 'refused'}: {_describe_answer(error)}"
        for path, error in refused.items()
    )
    details = {"offered": offered, "refused": list(refused)}
    if in_plan:
        tables = [table for table, paths in TABLES.items() if paths & refused.keys()]
        return warned("rest_plan", told, f"{cost_of(tables)} {PLAN}", **details)
    return failed(
        "rest_plan", told, "Ask Refersion's support about these operations, and quote the message above.", **details
    )


def _describe_answer(error: RefersionError) -> str:
    return f'"{error.said}"' if error.said else error.what.rstrip(".")


def _pages(problem: RefersionError | None, answer: Any) -> DoctorCheck:
    rows = answer.get("results") if isinstance(answer, dict) else None
    if problem is not None or not isinstance(rows, list):
        return skipped("rest_pages", f"needs {LIST}")
    announced = str(answer.get("total", "")).replace(",", "")
    total = int(announced) if announced.isdigit() else None
    details = {"asked_for": PAGE_SIZE, "rows": len(rows), "affiliates": total}
    if total is not None and len(rows) < min(PAGE_SIZE, total):
        return warned(
            "rest_pages",
            f"pages of {len(rows)} affiliates instead of the requested {PAGE_SIZE}",
            "No data is lost, but a refresh needs more requests. Refersion's support may know the reason.",
            **details,
        )
    of = f"{total:,} affiliates" if total is not None else "list without a total"
    return passed("rest_pages", f"{PAGE_SIZE} affiliates per page ({of})", **details)


def _clock(client: RestClient, host: str) -> DoctorCheck:
    """Compares the server's clock with ours, to the second (HTTP Date)."""
    theirs = client.transport.server_time
    if theirs is None:
        return skipped("clock", "no response contained the server's time")
    skew = theirs - datetime.now(UTC)
    details = {"server": theirs.isoformat(), "seconds_ahead_of_us": round(skew.total_seconds())}
    if host in LOOPBACK and abs(skew) > timedelta(days=1):
        # A local server has this machine's clock unless it is a sandbox, whose clock can be set.
        return passed("clock", f"the sandbox's own clock: {theirs:%Y-%m-%d %H:%M} UTC", **details)
    if abs(skew) <= LARGEST_SKEW:
        return passed("clock", "matches Refersion's within a few seconds", **details)
    seconds = abs(skew).total_seconds()
    how_much = f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    return warned(
        "clock",
        f"this machine's clock is {how_much} {'behind' if skew > timedelta(0) else 'ahead of'} Refersion's",
        "Synchronise it with a time server (timedatectl set-ntp true). A refresh uses Refersion's clock; "
        "schedules, and pauses that Refersion requests, use yours.",
        **details,
    )

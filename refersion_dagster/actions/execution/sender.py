"""Sends one call at a time: records the intent in the journal before it and each item's outcome after it."""

from __future__ import annotations

import html
import json
import re
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from refersion_dagster.actions.journal.journal import AlreadyUnderWay, Journal, as_json
from refersion_dagster.actions.operations.catalog import Endpoint
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.actions.operations.outcomes import Outcome, Result
from refersion_dagster.actions.operations.requests import AffiliateNew
from refersion_dagster.actions.planning.plan import Plan
from refersion_dagster.refersion.api.rest import RestClient
from refersion_dagster.refersion.errors import (
    AnswerLost,
    InvalidCredentials,
    NotInPlan,
    RefersionError,
    RequestRefused,
    ServerUnavailable,
    UnexpectedAnswer,
)

# Messages of a 422 response that say more about the outcome than "refused".
MEANINGS = (
    (
        re.compile(r"already been manually credited for this order id", re.IGNORECASE),
        Outcome.DONE,
        "The credit exists.",
    ),
    (
        re.compile(r"this order id is being process", re.IGNORECASE),
        Outcome.NOT_DONE,
        "Refersion is still processing this order; run this again in a few minutes.",
    ),
    (
        re.compile(r"failed while logging affiliate activity", re.IGNORECASE),
        Outcome.UNKNOWN,
        "It may have been carried out before Refersion failed.",
    ),
    (
        re.compile(r"conversion triggers? does not exist in our records", re.IGNORECASE),
        Outcome.NOT_CHANGED,
        "The affiliate has no such trigger.",
    ),
)
PASSWORD_LENGTH = 20
PASSWORD_LETTERS = (string.ascii_uppercase, string.ascii_lowercase, string.digits, "!#$%&*+-=?@_")


@dataclass(frozen=True)
class CallResult:
    """The result of a call.

    Args:
        results: outcome of each item, in order.
        answer: Refersion's whole response; None if there was no readable response.
        problem: why the run must stop; None if it may continue with the next call.
    """

    results: Sequence[Result]
    answer: Any = None
    problem: RefersionError | None = None


@dataclass(frozen=True)
class SendResult:
    """The outcomes of the calls of a run.

    Args:
        results: outcome of each item that was sent.
        left: number of items in calls that were not started.
        problem: why those calls were not started.
    """

    results: Sequence[tuple[PlannedItem, Result]]
    left: int
    problem: RefersionError | AlreadyUnderWay | None


def measure_clock_skew(rest: RestClient) -> timedelta:
    """Returns how far Refersion's clock is ahead of ours. Reads one affiliate, which also tests the keys.

    Raises RefersionError, before anything is sent.
    """
    rest.call("/affiliate/list", {"limit": "1", "page": "1"})
    theirs = rest.transport.server_time
    return theirs - datetime.now(UTC) if theirs else timedelta()


def send_all(plan: Plan, journal: Journal, rest: RestClient, tell: Callable[[str], None]) -> SendResult:
    """Sends the calls of a plan in sequence and stops at the first error that would also affect the next call.

    Raises RefersionError before the first call if the keys are invalid or the server is unavailable.
    """
    if not plan.calls:
        return SendResult([], 0, None)
    ahead = measure_clock_skew(rest)
    results: list[tuple[PlannedItem, Result]] = []
    for number, items in enumerate(plan.calls, 1):
        try:
            call_id = journal.intend(items, plan.earlier, plan.asking, datetime.now(UTC) + ahead)
        except AlreadyUnderWay as problem:
            return SendResult(results, plan.to_send - len(results), problem)
        answered = send(plan.endpoint, items, rest)
        # Logged first, so that the run's log has the outcome even if the journal fails.
        tell(f"Call {number} of {len(plan.calls)}: {_describe_answer(items, answered)}")
        journal.record_outcomes(call_id, items, answered.results, answered.answer)
        results += zip(items, answered.results, strict=True)
        if answered.problem:
            return SendResult(results, plan.to_send - len(results), answered.problem)
    return SendResult(results, 0, None)


def send(endpoint: Endpoint, items: Sequence[PlannedItem], rest: RestClient) -> CallResult:
    """Sends items in one call and reads the outcome of each from the response."""
    body, secret = _with_password(items, endpoint.body(items))
    try:
        answer = rest.change(endpoint.path, body, redact=make_redactor(secret))
    except RefersionError as error:
        if known := interpret_refusal(error):
            return CallResult([known] * len(items), None, error if known.outcome is Outcome.UNKNOWN else None)
        outcome, stop = _meaning(error)
        return CallResult([Result(outcome, _words(error))] * len(items), None, error if stop else None)
    results = endpoint.read(items, answer)
    if any(result.outcome is Outcome.UNKNOWN for result in results):
        problem = UnexpectedAnswer("the response has no outcome for each item.", operation=endpoint.path)
        return CallResult(results, answer, problem)
    return CallResult(results, answer)


def interpret_refusal(error: RefersionError) -> Result | None:
    """Returns the result for a refusal whose message implies another outcome than REFUSED; None for other errors."""
    if not isinstance(error, RequestRefused):
        return None
    for words, outcome, message in MEANINGS:
        if words.search(error.said or ""):
            return Result(outcome, f'{message} Refersion said: "{error.said}".')
    return None


def _meaning(error: RefersionError) -> tuple[Outcome, bool]:
    """Returns the outcome that an error implies for the items of its call, and whether the run must stop."""
    match error:
        case AnswerLost():
            return Outcome.UNKNOWN, True
        case UnexpectedAnswer():
            # Without a status no request was sent: the URL is invalid.
            return (Outcome.UNKNOWN if error.status else Outcome.NOT_DONE), True
        case InvalidCredentials() | NotInPlan() | ServerUnavailable():
            return Outcome.NOT_DONE, True
        case RequestRefused() if error.status == 403:
            return Outcome.NOT_DONE, True
        case RequestRefused():
            return Outcome.REFUSED, False
        case _:
            return Outcome.UNKNOWN, True


def _words(error: RefersionError) -> str:
    return f'{error.what} Refersion said: "{error.said}".' if error.said else error.what


def _describe_answer(items: Sequence[PlannedItem], answered: CallResult) -> str:
    places = items[0].place if len(items) == 1 else f"{items[0].place} to {items[-1].place}"
    counts = {outcome: [one.outcome for one in answered.results].count(outcome) for outcome in Outcome}
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    words = f" ({answered.results[0].message})" if answered.results[0].message else ""
    return f"{places}: {said}{words}" + (f" {as_json(answered.answer)[:500]}" if answered.answer is not None else "")


def _with_password(items: Sequence[PlannedItem], body: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Returns the body with the real password, and that password."""
    item = items[0].item
    if not isinstance(item, AffiliateNew):
        return body, None
    password = item.password.get_secret_value() if item.password else make_password()
    return body | {"password": password}, password


def make_password() -> str:
    """Generates a strong password that satisfies Refersion's rules. It is never shown."""
    letters = [secrets.choice(kind) for kind in PASSWORD_LETTERS]
    while len(letters) < PASSWORD_LENGTH:
        letters.append(secrets.choice("".join(set("".join(PASSWORD_LETTERS)) - set(letters))))
    secrets.SystemRandom().shuffle(letters)
    return "".join(letters)


def make_redactor(secret: str | None) -> Callable[[bytes], bytes]:
    """Returns a function that redacts a password in a response: plain, JSON-escaped or HTML-escaped."""
    if secret is None:
        return bytes
    written = [json.dumps(form, ensure_ascii=ascii_only)[1:-1]
               for form in (secret, html.escape(secret)) for ascii_only in (True, False)]  # fmt: skip
    forms = {form.encode() for plain in (secret, *written) for form in (plain, plain.replace("/", "\\/"))}

    def redact(content: bytes) -> bytes:
        for form in sorted(forms, key=len, reverse=True):
            content = content.replace(form, b"[password]")
        return content

    return redact

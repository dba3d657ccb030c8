"""Outcomes of an item."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of an item."""

    PENDING = "pending"
    DONE = "done"
    NOT_CHANGED = "not_changed"
    REFUSED = "refused"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


MEANING = {
    Outcome.PENDING: "about to be sent; no response yet",
    Outcome.DONE: "done, according to Refersion",
    Outcome.NOT_CHANGED: "unchanged, according to Refersion",
    Outcome.REFUSED: "refused by Refersion; nothing happened",
    Outcome.NOT_DONE: "certainly not carried out; the next run sends it",
    Outcome.UNKNOWN: "may or may not have been carried out (the response was lost); not sent again until settled",
}
# Outcomes that a run never changes, regardless of its configuration.
OPEN = (Outcome.PENDING, Outcome.UNKNOWN)


@dataclass(frozen=True)
class Result:
    """The result of one item.

    Args:
        message: an explanation, often Refersion's; None if the outcome needs none.
        values: the item's values in the response, as text, by column of the result table.
    """

    outcome: Outcome
    message: str | None = None
    values: dict[str, str] = field(default_factory=dict)


def format_count(count: int, noun: str) -> str:
    """Formats a count: 1 item, 2 items."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

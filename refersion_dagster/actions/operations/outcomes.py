"""What can become of an item."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What became of an item."""

    PENDING = "pending"
    DONE = "done"
    NOT_CHANGED = "not_changed"
    REFUSED = "refused"
    NOT_DONE = "not_done"
    UNKNOWN = "unknown"


MEANING = {
    Outcome.PENDING: "about to be sent, and no answer yet",
    Outcome.DONE: "done, as Refersion said",
    Outcome.NOT_CHANGED: "left as it was, as Refersion said",
    Outcome.REFUSED: "refused by Refersion; nothing happened",
    Outcome.NOT_DONE: "certain not to have happened; the next run sends it",
    Outcome.UNKNOWN: "may have happened or not, as the answer was lost; never sent again until it is settled",
}
# What a run does not touch, whatever it is told.
OPEN = (Outcome.PENDING, Outcome.UNKNOWN)


@dataclass(frozen=True)
class Result:
    """What became of one item.

    Args:
        message: in words, often Refersion's; None where the outcome says it all.
        values: what the answer holds on the item, by column of the result table, as text.
    """

    outcome: Outcome
    message: str | None = None
    values: dict[str, str] = field(default_factory=dict)


def counted(count: int, noun: str) -> str:
    """1 item, 2 items."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

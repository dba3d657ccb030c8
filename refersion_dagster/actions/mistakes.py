"""What is wrong with what was asked for, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# More are counted, not listed.
MOST_LISTED = 1_000


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Args:
        place: where, such as "row 4"; None where it is about all of them.
        what: what is wrong and, where it does not go without saying, what to do.
    """

    place: str | None
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


class Mistakes(Exception):
    """What was asked for cannot be sent as it is. Nothing was sent."""

    def __init__(self, found: Sequence[Mistake]) -> None:
        self.found = tuple(found)
        count = f"{len(self.found)} mistakes" if len(self.found) > 1 else "1 mistake"
        lines = [f"- {mistake}" for mistake in self.found[:MOST_LISTED]]
        if len(self.found) > MOST_LISTED:
            lines.append(f"- and {len(self.found) - MOST_LISTED} more")
        super().__init__("\n".join([f"{count}, and nothing was sent:", *lines]))

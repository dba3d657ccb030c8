"""All errors in a request, reported together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refersion_dagster.actions.operations.outcomes import format_count

# Further errors are counted, not listed.
MOST_LISTED = 1_000


@dataclass(frozen=True)
class InputError:
    """One error in the input.

    Args:
        place: where it is, such as "row 4"; None if it concerns the whole request.
        what: what is wrong and, unless it is obvious, what to do.
    """

    place: str | None
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what


class InputErrors(Exception):
    """The request has errors. Nothing was sent."""

    def __init__(self, found: Sequence[InputError]) -> None:
        self.found = tuple(found)
        lines = [f"- {error}" for error in self.found[:MOST_LISTED]]
        if len(self.found) > MOST_LISTED:
            lines.append(f"- and {len(self.found) - MOST_LISTED} more")
        super().__init__("\n".join([f"{format_count(len(self.found), 'error')}; nothing was sent:", *lines]))

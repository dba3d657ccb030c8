"""What Refersion's own data says about an item whose response was lost: how it is queried and reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from refersion_dagster.actions.journal.journal import Entry
from refersion_dagster.refersion.api.client import RefersionClient

# Refersion's clock is known to the second, and ours may have drifted since.
BEFORE = timedelta(minutes=10)


class Verdict(StrEnum):
    """How sure it is."""

    DONE = "it was done"
    LIKELY = "it was probably done"
    NOT_FOUND = "there is no sign that it was done"
    CANNOT_TELL = "unclear"


@dataclass(frozen=True)
class Evidence:
    """What Refersion says.

    Args:
        words: what was looked for and found.
        rows: rows of Refersion's that may be what the item made.
        found: what is recorded where the item counts as done, by column of the result table.
    """

    verdict: Verdict
    words: str
    rows: list[dict[str, str]] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inquiry:
    """One item to be looked for.

    Args:
        others: every other entry of the journal, whose conversions are accounted for.
        created: when a conversion was made, for an id, as the warehouse has it; None where it has none.
    """

    entry: Entry
    account: RefersionClient
    others: tuple[Entry, ...]
    created: Callable[[str], datetime | None]

    @property
    def asked(self) -> Mapping[str, Any]:
        return self.entry.request

    @property
    def since(self) -> datetime:
        return (self.entry.refersion_time or self.entry.intended_at) - BEFORE

    @property
    def accounted_for(self) -> set[str]:
        return {entry.found["conversion_id"] for entry in self.others if "conversion_id" in entry.found}

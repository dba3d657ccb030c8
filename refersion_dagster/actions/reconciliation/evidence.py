"""Types for evidence in Refersion's data about an item whose response was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from refersion_dagster.actions.journal.journal import Entry
from refersion_dagster.refersion.api.client import RefersionClient

# Refersion's clock is known only to the second, and ours may have drifted since.
BEFORE = timedelta(minutes=10)


class Verdict(StrEnum):
    """How certain the evidence is."""

    DONE = "it was done"
    LIKELY = "it was probably done"
    NOT_FOUND = "there is no sign that it was done"
    CANNOT_TELL = "unclear"


@dataclass(frozen=True)
class Evidence:
    """Evidence about one item.

    Args:
        words: description of what was searched for and found.
        rows: Refersion's rows that the item may have created.
        found: values to record if the item was done, by column of the result table.
    """

    verdict: Verdict
    words: str
    rows: list[dict[str, str]] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Inquiry:
    """One item to search for.

    Args:
        others: all other entries of the journal; their conversions are accounted for.
        created: returns the creation time of a conversion id from the warehouse; None if it is not there.
    """

    entry: Entry
    account: RefersionClient
    others: tuple[Entry, ...]
    created: Callable[[str], datetime | None]

    @property
    def request(self) -> Mapping[str, Any]:
        return self.entry.request

    @property
    def since(self) -> datetime:
        return (self.entry.refersion_time or self.entry.intended_at) - BEFORE

    @property
    def accounted_for(self) -> set[str]:
        return {entry.found["conversion_id"] for entry in self.others if "conversion_id" in entry.found}

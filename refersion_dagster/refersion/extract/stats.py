"""Statistics of a read: counts and findings per table, for logs, metadata and the next step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from refersion_dagster.refersion.api.introspection import AccountSchema
from refersion_dagster.refersion.windows import Window


@dataclass(frozen=True)
class ReadSpan:
    """A half-open span of `created` that was read completely and loaded, and the server's time when the read began."""

    start: datetime
    end: datetime
    read_at: datetime

    @property
    def window(self) -> Window:
        return Window(self.start, self.end)


@dataclass
class TableReport:
    """The report of one table's read.

    Args:
        rows: number of rows passed on for loading.
        requests: number of requests sent, including retries.
        read_from, read_to: the span of `created` that was read, half-open, UTC; None for lists without windows.
        fields_missing: known fields that this account does not offer; their columns are NULL.
        why_missing: why they are missing; None if the account's API does not offer them.
        fields_extra: additional fields that this account offers; stored as text.
        fields_filled: fields that were read by one pass per value.
        warnings: what the user should know.
        spans: the parts of read_from to read_to, one per load.
        more: the range is not finished: load what was read, then read again.
        not_offered: why the account does not offer the table, which is then empty; None if it does.
        asked_at: the server's time when the read began.
        not_loaded: fields of the account's schema that are not loaded, each with the parts left out or the reason.
    """

    rows: int = 0
    requests: int = 0
    read_from: datetime | None = None
    read_to: datetime | None = None
    fields_missing: list[str] = field(default_factory=list)
    why_missing: str | None = None
    fields_extra: list[str] = field(default_factory=list)
    fields_filled: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    spans: list[ReadSpan] = field(default_factory=list)
    more: bool = False
    not_offered: str | None = None
    asked_at: datetime | None = None
    not_loaded: dict[str, str] = field(default_factory=dict)

    def begin_load(self) -> datetime | None:
        """Starts another load of the same run. Returns where the previous one stopped, if it stopped early."""
        resume_at = self.read_to if self.more else None
        self.more = False
        return resume_at


@dataclass
class ReadReport:
    """The reports of one run, by table.

    Args:
        schema: the account's GraphQL schema; None if it was not read.
        why_no_schema: why it was not read.
    """

    tables: dict[str, TableReport] = field(default_factory=dict)
    schema: AccountSchema | None = None
    why_no_schema: str = "No table of the GraphQL API was read."

    def table(self, name: str) -> TableReport:
        return self.tables.setdefault(name, TableReport())

    @property
    def more(self) -> bool:
        """Whether any table has more to read after this load."""
        return any(table.more for table in self.tables.values())

"""What a reading did: counts and findings per table, for logs, metadata and the next step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from refersion_dagster.refersion.windows import Window


@dataclass(frozen=True)
class ReadSpan:
    """A span of `created`, half-open, that was read whole and loaded, and the server's time when the reading began."""

    start: datetime
    end: datetime
    read_at: datetime

    @property
    def window(self) -> Window:
        return Window(self.start, self.end)


@dataclass
class TableReport:
    """One table's reading.

    Args:
        rows: rows handed on for loading.
        requests: requests sent, retries included.
        read_from, read_to: the span of `created` that was read, half-open, UTC; None for lists without.
        fields_missing: known fields that this account does not offer; their columns are NULL.
        fields_extra: further fields that this account offers; kept as text.
        fields_filled: fields that were read by one pass per value.
        warnings: what the reader should know.
        spans: what read_from to read_to consists of, one a load.
        more: the range continues: load what was read, then read again.
        not_offered: why the account offers no such table, which is empty then; None where it does.
        asked_at: the server's time when the reading began.
        not_loaded: what the account's schema has beyond what is loaded, by field, and what of it or why.
    """

    rows: int = 0
    requests: int = 0
    read_from: datetime | None = None
    read_to: datetime | None = None
    fields_missing: list[str] = field(default_factory=list)
    fields_extra: list[str] = field(default_factory=list)
    fields_filled: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    spans: list[ReadSpan] = field(default_factory=list)
    more: bool = False
    not_offered: str | None = None
    asked_at: datetime | None = None
    not_loaded: dict[str, str] = field(default_factory=dict)

    def begin_load(self) -> datetime | None:
        """Starts a further load of the same run; returns where the previous one stopped, if it stopped early."""
        resume_at = self.read_to if self.more else None
        self.more = False
        return resume_at


@dataclass
class ReadReport:
    """The readings of one run, by table."""

    tables: dict[str, TableReport] = field(default_factory=dict)

    def table(self, name: str) -> TableReport:
        return self.tables.setdefault(name, TableReport())

    @property
    def more(self) -> bool:
        """Whether any table has more to read after this load."""
        return any(table.more for table in self.tables.values())

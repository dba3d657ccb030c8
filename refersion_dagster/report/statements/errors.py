"""Errors that prevent statements. Existing statements stay unchanged."""

from __future__ import annotations

from refersion_dagster.errors import ReportedError


class StatementsNotMade(ReportedError):
    """Base class. None of these errors is temporary, so the run is not retried."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} No statement was written.")


class NothingToState(StatementsNotMade):
    """The account was never read, or the summaries that statements read were never built."""


class MonthNotThere(StatementsNotMade):
    """The chosen month is invalid, has not ended, or is before the account's beginning."""


class MonthNotKnown(StatementsNotMade):
    """Readings do not show what was due when the month began and ended."""


class AffiliateNotThere(StatementsNotMade):
    """The chosen affiliate has no statement in the month."""


class StatementsDoNotTie(StatementsNotMade):
    """The statements do not add up to the roll-forward, or a statement does not add up itself."""


class FolderNotWritable(StatementsNotMade):
    """The disk is full, or the folder is not writable."""


class ChecksFailed(StatementsNotMade):
    """A blocking check of a summary that statements read has failed."""

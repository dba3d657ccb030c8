"""Errors that prevent statements. Existing statements stay unchanged."""

from __future__ import annotations

from refersion_dagster.errors import ReportedError


class StatementsNotMade(ReportedError):
    """Base class. None of them is temporary, so the run is not retried."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} No statement was written.")


class NothingToState(StatementsNotMade):
    """The account was never read, or the summaries that statements read were never built."""


class MonthNotThere(StatementsNotMade):
    """The month that was chosen is none, is not over, or lies before the account's beginning."""


class MonthNotKnown(StatementsNotMade):
    """No readings show what was due when the month began and ended."""


class AffiliateNotThere(StatementsNotMade):
    """The affiliate that was chosen has no statement in the month."""


class StatementsDoNotTie(StatementsNotMade):
    """The statements do not add up, to the roll-forward or in themselves."""


class FolderNotWritable(StatementsNotMade):
    """The disk is full, or the folder may not be written to."""


class ChecksFailed(StatementsNotMade):
    """A blocking check of a summary that statements read has failed."""

"""Errors whose text is all that users need."""

from __future__ import annotations


class ReportedError(Exception):
    """An error that says what happened, where, and what to do next.

    Commands print its text instead of a traceback, and a Dagster run fails with it as a Failure. The step is retried
    only if `may_pass` is true, that is, if a later attempt may succeed without any change.
    """

    may_pass = False

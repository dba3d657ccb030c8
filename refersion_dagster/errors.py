"""Errors whose text is all that people have to see of them."""

from __future__ import annotations


class ReportedError(Exception):
    """An error that says what happened, where, and what to do next.

    Commands show its text instead of a traceback, and a run of Dagster ends by it as a Failure. The step is tried again
    only if it `may_pass` later without anybody changing anything.
    """

    may_pass = False

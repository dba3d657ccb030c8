"""The places where figures are shown. Each is a test case."""

from __future__ import annotations

from datetime import date

from refersion_dagster_tests.oracle.figures import Shown

PLACES = ("now", "roll-forward", "card", "statement")


def closings(found: Shown, place: str) -> dict[date, int]:
    """Number of closings shown as facts, by month."""
    months: dict[date, int] = {}
    for one in found.figures:
        if one.place == place and one.line == "closing" and one.month and len(one.values) == 1:
            months[one.month] = months.get(one.month, 0) + 1
    return months

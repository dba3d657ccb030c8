"""The effect of tables that an account does not offer: a refresh works, but some figures are NULL."""

from __future__ import annotations

from collections.abc import Sequence

from refersion_dagster.summaries.knowledge import find_unknown_columns
from refersion_dagster.summaries.query import load_summaries

# Maximum number of names in a message.
MOST_NAMED = 4


def cost_of(tables: Sequence[str]) -> str:
    """Describes the effect of these missing tables: the summary columns that are NULL."""
    gaps = frozenset((table, None) for table in tables)
    empty = {
        summary.name: sum(one.is_null for one in find_unknown_columns(summary, gaps).values())
        for summary in load_summaries()
    }
    hit = sorted((name for name, count in empty.items() if count), key=lambda name: (-empty[name], name))
    what = f"{tables[0]} stays" if len(tables) == 1 else f"{', '.join(tables[:-1])} and {tables[-1]} stay"
    if not hit:
        return f"A refresh still works: {what} empty."
    count = sum(empty.values())
    columns = "1 column" if count == 1 else f"{count} columns"
    more = f" and {len(hit) - MOST_NAMED} more" if len(hit) > MOST_NAMED else ""
    return (
        f"A refresh still works: {what} empty, and {columns} of summaries are NULL "
        f"({', '.join(hit[:MOST_NAMED])}{more})."
    )

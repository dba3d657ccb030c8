"""Plots a summary over time for Dagster's UI: images in Markdown."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

from refersion_dagster.charts import Line, line_chart, number
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.markdown import escape_markdown
from refersion_dagster.summaries.query import Plot, Summary
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql import Value

# Maximum number of periods in a plot; the newest are shown.
MOST_DAYS, MOST_MONTHS = 180, 24
MOST_IMAGES = 4
# Maximum number of characters of Markdown, because each materialization stores it.
MOST_TEXT = 20_000
# Maximum length of a line's name, and maximum number of undrawn lines that are named.
LONGEST_NAME, MOST_NAMES = 40, 10
# The summary column that is true for a period that has ended.
IS_COMPLETE = "is_complete"


def plot(session: Session, summary: Summary) -> str | None:
    """Plots the newest days or months of a summary as Markdown. Returns None if it has no plot or no rows.

    Each value of the plot's column `by` has its own image, because amounts of different currencies have no common
    scale. Values with the most non-zero periods come first. Those beyond MOST_IMAGES and MOST_TEXT are only named. A
    period that has not ended is left out, because it would look like a fall.
    """
    plotted = summary.header.plot
    if plotted is None:
        return None
    of_line = f"coalesce({plotted.by}, '')" if plotted.by else "''"
    table = (
        f"(SELECT CAST({plotted.x} AS DATE) AS period, {of_line} AS line, CAST({plotted.y} AS DOUBLE) AS amount "  # noqa: S608 - names of the file's own
        f"FROM {SUMMARIES}.{summary.name} {f'WHERE {IS_COMPLETE}' if IS_COMPLETE in summary.columns else ''}) AS t"
    )
    found = session.query(
        f"SELECT line FROM {table} WHERE amount IS NOT NULL GROUP BY line "  # noqa: S608
        "ORDER BY count(CASE WHEN amount <> 0 THEN 1 END) DESC, line"
    )
    names = [line for (line,) in found]
    shown = names[:MOST_IMAGES]
    months = plotted.x.endswith("month")
    lines = _newest(session, table, shown, MOST_MONTHS if months else MOST_DAYS) if shown else {}
    images: list[str] = []
    for name in shown:
        image = _image(_title(plotted, name), lines[name], months, f"{summary.name}-{len(images)}".replace("_", "-"))
        if sum(map(len, images)) + len(image) > MOST_TEXT:
            break
        images.append(image)
    if left_out := names[len(images) :]:
        told = ", ".join(map(_shorten, left_out[:MOST_NAMES])) + (", …" if len(left_out) > MOST_NAMES else "")
        images.append(f"Not shown here: {escape_markdown(told)}.")
    return "\n\n".join(images) or None


def _newest(
    session: Session, table: str, names: Sequence[str], periods: int
) -> Mapping[str, Mapping[date, float | None]]:
    """Returns the newest periods of each line, in order."""
    values: dict[str, Value] = {f"line_{at}": name for at, name in enumerate(names)}
    rows = session.query(
        "SELECT line, period, amount FROM ("  # noqa: S608
        f"SELECT t.*, row_number() OVER (PARTITION BY line ORDER BY period DESC) AS age FROM {table} "
        f"WHERE line IN ({', '.join(f'${key}' for key in values)})"
        f") AS newest WHERE age <= {periods} ORDER BY period, line",
        **values,
    )
    lines: dict[str, dict[date, float | None]] = defaultdict(dict)
    for line, period, amount in rows:
        lines[line][period] = amount
    return lines


def _title(plotted: Plot, name: str) -> str:
    return plotted.y.replace("_", " ").capitalize() + (f", {_shorten(name)}" if name else "")


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _image(title: str, values: Mapping[date, float | None], months: bool, name: str) -> str:
    """Draws one line over its days or months, as a Markdown image."""
    labels = [f"{when:%Y-%m}" if months else f"{when:%Y-%m-%d}" for when in values]
    found = [(value, label) for label, value in zip(labels, values.values(), strict=True) if value is not None]
    told = f"{labels[0]} to {labels[-1]}: no value."
    if found:
        (lowest, low), (highest, high), (last, end) = min(found), max(found), found[-1]
        told = (
            f"{labels[0]} to {labels[-1]}: lowest {number(lowest)} in {low}, highest {number(highest)} in {high}, "
            f"last {number(last)} in {end}."
        )
    svg = line_chart(title, told, labels, [Line(title, list(values.values()))], name)
    return f"![{escape_markdown(f'{title}, {told}')}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"

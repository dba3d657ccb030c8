"""Line charts as SVG text.

A chart needs no script, font or network access, so it works in an e-mail, from disk and as an image. It follows the
reader's light or dark mode, and has a title and a description for screen readers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import groupby
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template

SVG = "http://www.w3.org/2000/svg"

# In pixels. Text is 11 and 14 pixels high, so a chart displayed at a smaller size is hard to read.
WIDE, NARROW = (720, 220), (440, 200)
PIXELS_PER_LABEL = 110  # along the x axis
PIXELS_PER_CHARACTER = 7  # for text 11 pixels high, at most
TOP, LABEL_HEIGHT, LEGEND_HEIGHT = 36, 32, 24
RIGHT_MARGIN = 36  # for half of the last label
MOST_STEPS = 5  # of the y axis, above and below 0 together
# Characters that XML cannot represent.
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# All text has a contrast of at least 7 and all lines one of at least 4.5 to their background. Lines differ in colour
# and dash pattern.
CSS = """
.chart{--ground:#fff;--ink:#1f2328;--quiet:#57606a;--grid:#d8dee4;--a:#0550ae;--b:#a04100;--c:#116329;--d:#8250df;
max-width:100%;height:auto;font-family:system-ui,sans-serif}
@media screen and (prefers-color-scheme:dark){.chart{--ground:#161b22;--ink:#f0f6fc;--quiet:#b1bac4;--grid:#3d444d;
--a:#79c0ff;--b:#ffa657;--c:#7ee787;--d:#d2a8ff}}
.chart .ground{fill:var(--ground)}.chart text{fill:var(--quiet);font-size:11px}
.chart .title{fill:var(--ink);font-size:14px;text-anchor:middle}
.chart .x text{text-anchor:middle}.chart .y text{text-anchor:end}.chart .axis path{stroke:var(--grid)}
.chart path{fill:none;stroke-width:2;stroke-linejoin:round}.chart .axis path{stroke-width:1}
.chart .line-0 path{stroke:var(--a)}.chart .line-0 circle{fill:var(--a)}
.chart .line-1 path{stroke:var(--b);stroke-dasharray:7 3}.chart .line-1 circle{fill:var(--b)}
.chart .line-2 path{stroke:var(--c);stroke-dasharray:2 3}.chart .line-2 circle{fill:var(--c)}
.chart .line-3 path{stroke:var(--d);stroke-dasharray:9 3 2 3}.chart .line-3 circle{fill:var(--d)}
""".replace("\n", "")
MOST_LINES = 4


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, and a value for each label of the x axis. None leaves a gap."""

    name: str
    values: Sequence[float | None]


def line_chart(
    title: str,
    description: str,
    labels: Sequence[str],
    lines: Sequence[Line],
    name: str = "chart",
    size: tuple[int, int] = WIDE,
) -> str:
    """A chart as an SVG element, which can be embedded in HTML or saved as an image file.

    Args:
        title: shown above the chart.
        description: what the chart shows, for screen readers.
        labels: labels of the x axis, evenly spaced; some of them are shown.
        lines: at most MOST_LINES, each with a value for each label. The y axis begins at 0 or below.
        name: letters and hyphens, unique among the charts of a page.
        size: width and height in pixels.

    Raises ValueError if there are no labels or too many lines, or if a line does not have a value for each label.
    """
    if not labels or len(lines) > MOST_LINES or any(len(line.values) != len(labels) for line in lines):
        raise ValueError(f"a chart has labels, and {MOST_LINES} lines at most with a value for each of them")
    width, height = size
    marks = ticks([value for line in lines for value in line.values if value is not None])
    left = 16 + PIXELS_PER_CHARACTER * max(len(number(mark)) for mark in marks)
    right = width - RIGHT_MARGIN
    bottom = height - LABEL_HEIGHT - (LEGEND_HEIGHT if len(lines) > 1 else 0)

    def x(at: int) -> int:
        return round(left + (right - left) * (at / (len(labels) - 1) if len(labels) > 1 else 0.5))

    def y(value: float) -> int:
        return round(bottom - (bottom - TOP) * (value - marks[0]) / (marks[-1] - marks[0]))

    # Shown labels are evenly spaced and include the last one.
    step = max(1, -(-len(labels) // (width // PIXELS_PER_LABEL)))
    shown = range(len(labels) - 1, -1, -step)
    return _template().render(
        namespace=SVG,
        css=CSS,
        name=name,
        title=remove_control_characters(title),
        description=remove_control_characters(description),
        width=width,
        height=height,
        left=left,
        right=right,
        bottom=bottom,
        x_labels=[(remove_control_characters(labels[at]), x(at)) for at in reversed(shown)],
        y_labels=[(number(mark), y(mark)) for mark in marks],
        lines=[
            {
                "name": remove_control_characters(line.name),
                "at": place * (right - left) // len(lines),
                "pieces": [
                    [(x(at), y(value)) for at, value in piece if value is not None]
                    for there, piece in groupby(enumerate(line.values), key=lambda one: one[1] is not None)
                    if there
                ],
            }
            for place, line in enumerate(lines)
        ],
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader  # imported here, because loading the code location draws nothing

    return Environment(loader=PackageLoader("refersion_dagster", ""), autoescape=True).get_template("chart.svg.j2")


def ticks(values: Sequence[float]) -> list[float]:
    """Round, evenly spaced numbers for the y axis, including 0. All values lie between the first and the last."""
    low, high = (Decimal(repr(edge)) for edge in (min((0, *values)), max((0, *values))))
    span = high - low
    if not span:
        return [0, 1]
    power = Decimal(1).scaleb(span.adjusted() - 1)
    for factor in (1, 2, 5, 10, 20, 50, 100):
        step = power * factor
        first, last = floor(low / step), ceil(high / step)
        if last - first <= MOST_STEPS:
            break
    return [float(step * number) for number in range(first, last + 1)]


def number(value: float) -> str:
    """A value as shown by axes and descriptions: 1,234.5."""
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def remove_control_characters(text: str) -> str:
    """A text without characters that XML or HTML cannot contain, such as control characters. Names are untrusted."""
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)

"""Line charts as SVG texts.

A chart needs no script, no font and no address to be shown, so it works in a mail, from disk and as an image. It is
light or dark as the reader's screen is, and has a title and a description for those who do not see it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil, floor
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", SVG)

# Pixels; texts are 11 and 14 high, so that a chart that is shown smaller than it is drawn is hard to read.
WIDE, NARROW = (720, 220), (440, 200)
PIXELS_PER_LABEL = 110  # along the x axis
LEGEND_HEIGHT = 32
MOST_STEPS = 5  # of the y axis, above and below 0 together
FRACTION = re.compile(r"\d+\.\d+")
# XML has no way to write these.
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# All texts have a contrast of 7 and all lines one of 4.5 or more against their ground. Lines differ in colour and dash.
CSS = """
.chart{--ground:#fff;--ink:#1f2328;--quiet:#57606a;--grid:#d8dee4;--a:#0550ae;--b:#a04100;--c:#116329;--d:#8250df;
max-width:100%;height:auto;font-family:system-ui,sans-serif}
@media screen and (prefers-color-scheme:dark){.chart{--ground:#161b22;--ink:#f0f6fc;--quiet:#b1bac4;--grid:#3d444d;
--a:#79c0ff;--b:#ffa657;--c:#7ee787;--d:#d2a8ff}}
.chart .background{fill:none}.chart .graph>.background{fill:var(--ground)}
.chart text{fill:var(--quiet);font-size:11px}.chart .title{fill:var(--ink);font-size:14px;text-anchor:middle}
.chart .axis.x text{text-anchor:middle}.chart .axis.y text{text-anchor:end}
.chart .axis path{fill:none;stroke:var(--grid)}.chart .axis.x path{stroke:none}
.chart .series path{fill:none;stroke-width:2;stroke-linejoin:round}.chart circle,.chart .legends rect{stroke:none}
.chart .color-0{stroke:var(--a);fill:var(--a)}.chart .color-1{stroke:var(--b);fill:var(--b);stroke-dasharray:7 3}
.chart .color-2{stroke:var(--c);fill:var(--c);stroke-dasharray:2 3}
.chart .color-3{stroke:var(--d);fill:var(--d);stroke-dasharray:9 3 2 3}
""".replace("\n", "")
MOST_LINES = 4


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, and a value for each label of the x axis; None leaves a gap."""

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
    """A chart as an SVG element, which may stand in HTML as it is or be an image's file.

    Args:
        title: shown above it.
        description: what it shows, in words, for those who do not see it.
        labels: of the x axis, evenly spaced; some of them are shown.
        lines: MOST_LINES of them at most, each with a value for each label. The y axis begins at 0 or below.
        name: of letters and hyphens, different from that of every other chart of a page.
        size: width and height in pixels.

    Raises ValueError for no labels, too many lines, or a line that has not a value for each label.
    """
    if not labels or len(lines) > MOST_LINES or any(len(line.values) != len(labels) for line in lines):
        raise ValueError(f"a chart has labels, and {MOST_LINES} lines at most with a value for each of them")
    import pygal  # here, as loading the code location draws nothing

    width, height = size
    most = width // PIXELS_PER_LABEL
    dots = any(_stands_alone(line.values, at) for line in lines for at in range(len(labels)))
    chart = pygal.Line(
        title=written(title),
        width=width,
        height=height,
        margin=8,
        margin_right=28,  # for the half of the last label
        margin_bottom=LEGEND_HEIGHT if len(lines) > 1 else 8,
        x_labels=[written(label) for label in labels],
        # Those are evenly spaced, and the last is among them.
        x_labels_major=[written(label) for label in labels[:: -max(1, -(-len(labels) // most))]],
        show_minor_x_labels=False,
        include_x_axis=True,
        y_labels=ticks([value for line in lines for value in line.values if value is not None]),
        value_formatter=number,
        allow_interruptions=True,
        # A value between two gaps cannot be drawn as a line.
        show_dots=dots,
        dots_size=3,
        show_legend=len(lines) > 1,
        legend_at_bottom=True,
        legend_at_bottom_columns=MOST_LINES,
        truncate_legend=-1,
        truncate_label=-1,
        no_prefix=True,
        classes=("chart",),
        css=[],
        js=[],
    )
    for line in lines:
        chart.add(written(line.name), list(line.values))
    return _finished(chart.render(is_unicode=True), description, name, size)


def ticks(values: Sequence[float]) -> list[float]:
    """Round numbers for the y axis, evenly spaced: 0 is one of them, and no value lies beyond the first or the last."""
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
    """A value as axes and descriptions have it: 1,234.5."""
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def written(text: str) -> str:
    """A text without what neither XML nor HTML can hold, such as control characters; names are what strangers typed."""
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _stands_alone(values: Sequence[float | None], at: int) -> bool:
    return values[at] is not None and not any(
        0 <= beside < len(values) and values[beside] is not None for beside in (at - 1, at + 1)
    )


def _finished(svg: str, description: str, name: str, size: tuple[int, int]) -> str:
    """pygal's chart without what its script needs, with our style and with what screen readers read."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - made here a moment ago
    tag = f"{{{SVG}}}".__add__
    title = root.find(tag("title"))
    if title is None:
        raise ValueError("pygal gave a chart without a title")
    for parent in list(root.iter()):
        for child in list(parent):
            # Of the titles those of the numbers on the axes, which say no more than the numbers.
            useless = child is not title and child.tag in {tag(name) for name in ("script", "defs", "desc", "title")}
            if useless or "-overlay" in child.get("class", ""):
                parent.remove(child)
    for element in root.iter():
        # An id of pygal's would be there again in the next chart of the page.
        element.attrib.pop("id", None)
        for attribute in ("d", "x", "y", "cx", "cy", "transform"):
            if text := element.get(attribute):
                element.set(attribute, FRACTION.sub(_whole, text))
    title.set("id", f"{name}-title")
    told = ElementTree.Element(tag("desc"), {"id": f"{name}-description"})
    told.text = written(description)
    style = ElementTree.Element(tag("style"))
    style.text = CSS
    root.insert(1, told)
    root.insert(2, style)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-description")
    for attribute, pixels in zip(("width", "height"), size, strict=True):
        root.set(attribute, str(pixels))
    return ElementTree.tostring(root, "unicode")


def _whole(found: re.Match[str]) -> str:
    """Whole pixels, half of the text."""
    return f"{float(found[0]):.0f}"

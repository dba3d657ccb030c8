"""Charts: SVG that any reader shows, whatever the names and values are."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from refersion_dagster.charts import MOST_LINES, NARROW, SVG, WIDE, Line, line_chart, number, ticks

DAYS = [f"2025-01-{day:02}" for day in range(1, 31)]


def drawn(*lines: Line, title: str = "Sales", labels: list[str] | None = None) -> ElementTree.Element:
    labels = labels or DAYS[: len(lines[0].values)]
    return ElementTree.fromstring(line_chart(title, "What it shows.", labels, lines, "sales"))  # noqa: S314 - ours


def paths(chart: ElementTree.Element) -> list[str]:
    """What is drawn of each line."""
    return [
        path.get("d", "")
        for group in chart.iter(f"{{{SVG}}}g")
        if "series" in group.get("class", "").split()
        for path in group.iter(f"{{{SVG}}}path")
    ]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+)[ ,](-?[\d.]+)", path)]


def words(chart: ElementTree.Element) -> list[str]:
    return [text for element in chart.iter() if (text := (element.text or "").strip())]


def test_a_line_goes_through_its_values() -> None:
    (path,) = paths(drawn(Line("Sales", [0, 50, 100, 100])))
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points(path)
    assert x1 - x0 == pytest.approx(x3 - x2, abs=1)
    assert y0 > y1 > y2 == y3
    assert y0 - y1 == pytest.approx(y1 - y2, abs=1)


def test_a_missing_value_is_a_gap_and_not_a_zero() -> None:
    before, after = paths(drawn(Line("Sales", [1, 2, None, 3, 4])))
    assert len(points(before)) == len(points(after)) == 2


def test_a_value_between_two_gaps_is_a_dot() -> None:
    dots = list(drawn(Line("Sales", [None, 2, None, 3, 4])).iter(f"{{{SVG}}}circle"))
    assert dots
    assert not list(drawn(Line("Sales", [None, 2, 2, 3, 4])).iter(f"{{{SVG}}}circle"))


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([], [0, 1]),
        ([0, 0], [0, 1]),
        ([5050.5], [0, 2000, 4000, 6000]),
        ([-2300, 5050], [-4000, -2000, 0, 2000, 4000, 6000]),
        ([-7], [-8, -6, -4, -2, 0]),
        ([0.1, 0.3], [0, 0.1, 0.2, 0.3]),
        ([100], [0, 20, 40, 60, 80, 100]),
    ],
)
def test_the_axis_reaches_as_far_as_the_lines(values: list[float], wanted: list[float]) -> None:
    assert ticks(values) == wanted


def test_a_legend_names_the_lines_within_the_picture() -> None:
    chart = drawn(Line("Sales", [1, 2]), Line("Commission", [0, 1]))
    (legend,) = [one for one in chart.iter(f"{{{SVG}}}g") if one.get("class") == "legend"]
    top = float(re.findall(r"[\d.]+", legend.get("transform", ""))[1])
    assert top + 16 < int(chart.get("height", "0"))
    assert {"Sales", "Commission"} <= set(words(legend))


@pytest.mark.parametrize("values", [[5], [0, 0], [-5, -7, 3], [1e15, 2e15], [0.0001, 0.0002], [None, None]])
def test_every_scale_is_drawn(values: list[float | None]) -> None:
    drawn(Line("Sales", values))


def test_it_has_a_title_and_a_description_for_those_who_do_not_see_it() -> None:
    chart = drawn(Line("Sales", [1, 2]))
    assert chart.get("role") == "img"
    named = {element.get("id"): element.text for element in chart.iter() if element.get("id")}
    assert [named[name] for name in (chart.get("aria-labelledby") or "").split()] == ["Sales", "What it shows."]


def test_it_needs_no_script_and_nothing_from_elsewhere() -> None:
    svg = line_chart("Sales", "What it shows.", DAYS, [Line("Sales", [1] * 30)])
    assert "<script" not in svg
    assert "@import" not in svg
    assert "url(" not in svg
    assert re.findall(r"https?://[^\"]+", svg) == [SVG]


@pytest.mark.parametrize(("size", "most"), [(WIDE, 6), (NARROW, 4)])
def test_as_many_labels_as_there_is_room_for_stand_below_it_the_last_among_them(
    size: tuple[int, int], most: int
) -> None:
    svg = line_chart("Sales", "What it shows.", DAYS, [Line("Sales", [1] * 30)], size=size)
    shown = [text for text in words(ElementTree.fromstring(svg)) if text in DAYS]  # noqa: S314 - ours
    assert 2 <= len(shown) <= most
    assert shown[-1] == DAYS[-1]


def test_several_lines_have_a_legend_and_one_has_none() -> None:
    assert "Commission" in words(drawn(Line("Sales", [1, 2]), Line("Commission", [0, 1]), title="Both"))
    assert "Only" not in words(drawn(Line("Only", [1, 2])))


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\"b'c&amp;d", "]]>", "\x00\x1b\ud800\uffff", "小林 🎉"]
)
def test_names_are_texts_whatever_is_in_them(name: str) -> None:
    svg = line_chart(name, name, ["a", name], [Line(name, [1, 2]), Line("other", [1, 2])])
    assert "<script" not in svg
    expected = re.sub("[\x00\x1b\ud800\uffff]", "\ufffd", name)
    assert words(ElementTree.fromstring(svg)).count(expected) >= 3  # noqa: S314 - ours


@pytest.mark.parametrize(
    ("labels", "lines"), [([], []), (["a"], [Line("x", [1, 2])]), (["a"], [Line("x", [1])] * (MOST_LINES + 1))]
)
def test_what_is_no_chart_is_refused(labels: list[str], lines: list[Line]) -> None:
    with pytest.raises(ValueError, match="a chart has labels"):
        line_chart("Sales", "", labels, lines)


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1,234.5"), (-0.00001, "0"), (0.1250, "0.125"), (1e6, "1,000,000"), (-3, "-3")]
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown

"""The HTML shell of the report and statements: self-contained, escaped, without scripts."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from jinja2 import UndefinedError

from refersion_dagster.report import page

PAGE = """{% extends "page.html.j2" %}
{% import "parts.html.j2" as parts with context %}
{% block title %}{{ name }}{% endblock %}
{% block header %}<h1>{{ name }}</h1>{% endblock %}
{% block main %}
{% call parts.table(name, [(name, ""), ("Due", "number")], note=name) %}
<tr><th scope="row" title="{{ name }}">{{ name }}</th><td class="number">{{ due | money("EUR") }}</td></tr>
{% endcall %}
{{ parts.bar(share) }}
{% endblock %}
"""


def page_of(**values: Any) -> str:
    given = {"name": "Ann", "due": Decimal("1114.5000"), "share": Decimal("0.5"), **values}
    return page._environment().from_string(PAGE).render(**given)


def filtered(value: Any, filter_: str) -> str:
    return page._environment().from_string("{{ value | " + filter_ + " }}").render(value=value)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "&amp;"]
)
def test_names_are_texts_wherever_they_stand(name: str) -> None:
    html = page_of(name=name)
    assert "<script" not in html
    assert "<img" not in html
    assert ">49<" not in html
    shown = html.count(name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;"))
    assert shown == 8


def test_it_asks_nobody_for_anything_and_lets_no_script_run() -> None:
    html = page_of()
    assert "default-src 'none'" in html
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script", html)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', html)) == {"#main", "data:,"}


def test_a_value_that_was_forgotten_is_an_error_and_no_empty_place() -> None:
    with pytest.raises(UndefinedError):
        page._environment().from_string("{{ forgotten }}").render()


def test_figures_carry_their_exact_value() -> None:
    assert filtered(Decimal("1114.5050"), "money('EUR')") == '<data value="1114.5050">€1,114.51</data>'
    assert filtered(1024, "count") == '<data value="1024">1,024</data>'
    assert filtered(Decimal("0.12345"), "percent") == '<data value="0.12345">12.3%</data>'
    assert filtered(Decimal("-0.0001"), "percent") == '<data value="-0.0001">0.0%</data>'


@pytest.mark.parametrize("filter_", ["money('EUR')", "amount('EUR')", "count", "percent"])
def test_none_is_a_dash(filter_: str) -> None:
    assert filtered(None, filter_) == "–"


def test_days_and_months_are_written_out() -> None:
    assert filtered(date(2026, 7, 1), "day") == "1 July 2026"
    assert filtered(date(2026, 6, 1), "month") == "June 2026"
    assert filtered(datetime(2026, 7, 1, 9, 5, tzinfo=UTC), "moment") == "1 July 2026, 09:05 UTC"

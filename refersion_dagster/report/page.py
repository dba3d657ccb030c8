"""The HTML shell of the report and the statements: one self-contained file, without scripts or network requests.

A page is a jinja2 template in a folder of this package that extends `page.html.j2`:

    {% extends "page.html.j2" %}
    {% block title %}Statement of June 2026{% endblock %}
    {% block header %}<h1>Statement</h1><p class="lede">June 2026</p>{% endblock %}
    {% block main %}
    <section aria-labelledby="due"><h2 id="due">What is due</h2>
    {% call parts.table("Conversions", [("Order", ""), ("Commission", "number")]) %}
      <tr><th scope="row">{{ order }}</th><td class="number">{{ commission | amount(currency) }}</td></tr>
    {% endcall %}</section>
    {% endblock %}

    html = render("statements/statement.html.j2", order="1001", commission=Decimal("5.00"), currency="EUR")

Blocks: `title`, `header` (the page's only h1), `nav` (links, not printed), `main`, `footer`.
Macros, imported with `{% import "parts.html.j2" as parts with context %}` at the top of the template: see
`parts.html.j2`.
Filters: `amount(currency)` 1,114.50; `money(currency)` €1,114.50; `count` 1,024; `percent` 12.3%; these have the exact
value in `<data value>`. `day` 1 July 2026; `month` June 2026; `moment` 1 July 2026, 09:30 UTC.
Classes: `number` (right, tabular figures), `quiet`, `good`, `bad`, `warn`, `screen` (not printed), `total` (of a
table's row), `lede`, `cards`. Colours are variables that follow the reader's light or dark mode; see `style.css`.

Everything is escaped unless it is Markup, and the page's Content-Security-Policy blocks scripts and external resources.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from refersion_dagster.charts import remove_control_characters
from refersion_dagster.report import money
from refersion_dagster.rounding import format_amount

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """Renders a page as HTML.

    Args:
        template: path in this package, such as commissions/report.html.j2.

    Raises jinja2's UndefinedError if the template uses a value that is not given.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    # Lazy import: loading the code location renders nothing.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("refersion_dagster.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_remove_control_characters,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "amount": lambda value, currency: _data(value, money.amount(value, currency)),
        "money": lambda value, currency: _data(value, money.money(value, currency)),
        "count": lambda value: _data(value, count(value)),
        "percent": lambda value: _data(value, percent(value)),
        "day": day,
        "month": month,
        "moment": moment,
    }
    return environment


def count(value: int | None) -> str:
    """Formats a number: 1,024; a dash for None."""
    return money.NO_VALUE if value is None else f"{value:,}"


def percent(value: Decimal | None) -> str:
    """Formats a fraction in percent: 12.3%; a dash for None."""
    if value is None:
        return money.NO_VALUE
    return f"{format_amount(value * 100, 1)}%"


def day(value: date) -> str:
    """Formats a day: 1 July 2026."""
    return f"{value.day} {value:%B %Y}"


def month(value: date) -> str:
    """Formats a month: June 2026."""
    return f"{value:%B %Y}"


def moment(value: datetime) -> str:
    """Formats a time in its own time zone: 1 July 2026, 09:30 UTC."""
    return f"{day(value)}, {value:%H:%M %Z}"


def _remove_control_characters(value: Any) -> Any:
    """Removes characters from a value that HTML cannot represent."""
    return remove_control_characters(value) if type(value) is str else value


def _data(value: Decimal | int | None, text: str) -> str | Markup:
    """Wraps a text in `<data>` with its exact value."""
    from markupsafe import Markup, escape

    if value is None:
        return text
    exact = f"{value:f}" if isinstance(value, Decimal) else str(value)
    # Markup.format would take twenty times as long, and statements have millions of amounts.
    return Markup(f'<data value="{exact}">{escape(text)}</data>')  # noqa: S704 - a number, and an escaped text

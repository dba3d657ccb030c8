"""The plot of a summary: images within bounded Markdown, whatever the rows are."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from refersion_dagster.charts import SVG
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.plot import MOST_DAYS, MOST_IMAGES, MOST_TEXT, plot
from refersion_dagster.summaries.query import Summary, load_summaries, parse
from refersion_dagster.warehouse.session import Session
from refersion_dagster_tests.location import account_of, materialise

HEADER = """/*
group: sales
description: Numbers.
grain: one row per period
primary_key: [{x}]
owners: [team:data]
questions:
  - Which numbers?
plot: {{x: {x}, y: sales, by: currency}}
*/
"""
IMAGE = re.compile(r"!\[([^\]]*)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)")


def summary(select: str, x: str = "day") -> Summary:
    return parse(HEADER.format(x=x) + select, "sql/made.sql")


def plotted(session: Session, select: str, x: str = "day") -> str | None:
    """The plot of a table that this SELECT gives."""
    made = summary(select, x)
    session.create_schema("refersion_summaries")
    session.query("DROP TABLE IF EXISTS refersion_summaries.made")
    session.query(f"CREATE TABLE refersion_summaries.made AS {select}")
    return plot(session, made)


def images(markdown: str | None) -> list[tuple[str, ElementTree.Element]]:
    """What stands for each image, and the image."""
    assert markdown
    return [(told, ElementTree.fromstring(b64decode(svg))) for told, svg in IMAGE.findall(markdown)]  # noqa: S314 - ours


def title(image: ElementTree.Element) -> str:
    return image.findtext(f"{{{SVG}}}title") or ""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb")).session() as session:
        yield session


def days(number: int, currency: str = "'USD'", sales: str = "CAST(n AS DECIMAL(38, 4))", more: str = "") -> str:
    return (
        f"SELECT CAST(DATE '2025-01-01' + CAST(n AS INTEGER) AS DATE) AS day, {currency} AS currency, "
        f"{sales} AS sales{more} FROM (SELECT unnest(range({number})) AS n) AS numbers"
    )


def test_each_currency_has_an_image_and_words_that_say_what_it_shows(session: Session) -> None:
    euros = days(2, currency="'EUR'", sales="CAST(7 AS DECIMAL(38, 4))")
    shown = images(plotted(session, f"{days(3)} UNION ALL {euros}"))
    assert [title(image) for _, image in shown] == ["Sales, EUR", "Sales, USD"]
    assert (
        shown[1][0] == "Sales, USD, 2025-01-01 to 2025-01-03: lowest 0 in 2025-01-01, highest 2 in 2025-01-03, "
        "last 2 in 2025-01-03."
    )


def test_gaps_stay_gaps_and_are_in_no_figure(session: Session) -> None:
    ((told, image),) = images(plotted(session, days(6, sales="CASE WHEN n <> 3 THEN n + 1 END")))
    assert "lowest 1 in 2025-01-01, highest 6 in" in told
    drawn = [path.get("d", "") for path in image.iter(f"{{{SVG}}}path") if "line" in path.get("class", "").split()]
    assert len(drawn) == 2


def test_a_currency_without_a_value_in_the_days_that_are_drawn_says_so(session: Session) -> None:
    number = MOST_DAYS + 50
    once = days(number, currency="'EUR'", sales="CASE WHEN n = 0 THEN CAST(5 AS DECIMAL(38, 4)) END")
    shown = {title(image): told for told, image in images(plotted(session, f"{days(number)} UNION ALL {once}"))}
    assert shown["Sales, EUR"] == "Sales, EUR, 2025-02-20 to 2025-08-18: no value."


@pytest.mark.parametrize("select", [days(0), days(5, sales="CAST(NULL AS DECIMAL(38, 4))")])
def test_nothing_to_plot_is_no_plot(session: Session, select: str) -> None:
    assert plotted(session, select) is None


def test_only_the_newest_days_are_drawn_and_none_that_is_not_over(session: Session) -> None:
    number = MOST_DAYS + 50
    ((told, _),) = images(plotted(session, days(number, more=f", n < {number - 1} AS is_complete")))
    ((first, last),) = session.query(
        f"SELECT CAST(max(day) - {MOST_DAYS} AS TEXT), CAST(max(day) - 1 AS TEXT) FROM refersion_summaries.made"
    )
    assert told.startswith(f"Sales, USD, {first[:10]} to {last[:10]}: ")


def test_months_are_named_as_months(session: Session) -> None:
    select = days(1).replace("AS day", "AS month")
    ((told, _),) = images(plotted(session, select, x="month"))
    assert told.startswith("Sales, USD, 2025-01 to 2025-01: ")


def test_400_currencies_stay_within_bounds(session: Session) -> None:
    many = (
        "SELECT CAST(DATE '2025-01-01' + CAST(d.n AS INTEGER) AS DATE) AS day, concat('C', c.n) AS currency, "
        "CAST(d.n * c.n AS DECIMAL(38, 4)) AS sales "
        "FROM (SELECT unnest(range(400)) AS n) AS c CROSS JOIN (SELECT unnest(range(1000)) AS n) AS d"
    )
    markdown = plotted(session, many)
    assert markdown
    assert 1 <= len(images(markdown)) <= MOST_IMAGES
    assert len(markdown) < MOST_TEXT + 1_000
    assert re.search(r"Not shown here: C\d+, .*…\.$", markdown)


def test_the_currency_that_is_used_most_comes_first(session: Session) -> None:
    quiet = days(30, currency="'AAA'", sales="CASE WHEN n = 3 THEN 1000 ELSE 0 END")
    busy = days(30, currency="'ZZZ'", sales="n")
    assert [title(image) for _, image in images(plotted(session, f"{quiet} UNION ALL {busy}"))] == [
        "Sales, ZZZ",
        "Sales, AAA",
    ]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "](x) ![y](http://evil.example/z", 'it\'s "$USD" \\ `x`', "", "x" * 100_000]
)
def test_a_value_is_shown_as_it_is_and_cannot_become_markup(session: Session, name: str) -> None:
    quoted = name.replace("'", "''")
    markdown = plotted(session, days(3, currency=f"'{quoted}'"))
    ((told, image),) = images(markdown)
    assert markdown
    assert len(markdown) < MOST_TEXT
    assert "<" not in markdown
    assert "evil" not in IMAGE.sub("", markdown)
    assert title(image) == (f"Sales, {name if len(name) <= 40 else name[:39] + '…'}" if name else "Sales")
    assert told.startswith("Sales")


def test_summaries_without_a_plot_have_none(session: Session) -> None:
    assert plot(session, next(one for one in load_summaries() if one.name == "affiliates")) is None


@pytest.mark.exhaustive
def test_a_plot_of_the_account_is_in_the_assets_metadata(account: SandboxServer, tmp_path: Path) -> None:
    """Dagster keeps it with each materialisation; the words beside the image are those of the table."""
    warehouse = Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))
    done = materialise(account_of(account), warehouse)
    assert done.success, done.failure
    assert "plot" not in done.metadata["summaries/affiliates"]
    drawn = images(done.metadata["summaries/commission_daily"]["plot"])
    shown = {title(image).partition(", ")[2]: told for told, image in drawn}
    rows = warehouse.query(
        "SELECT currency, max(sales) FROM ("
        "SELECT *, row_number() OVER (PARTITION BY currency ORDER BY day DESC) AS age "
        "FROM refersion_summaries.commission_daily WHERE is_complete) AS t "
        f"WHERE age <= {MOST_DAYS} GROUP BY currency"
    )
    assert rows
    for currency, highest in rows:
        assert f"highest {highest:,.4f}".rstrip("0").rstrip(".") in shown[currency]

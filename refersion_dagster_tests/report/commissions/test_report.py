"""The report of the sandbox's account: its figures equal the warehouse's, and the page is self-contained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

import pytest

from refersion_dagster.charts import SVG
from refersion_dagster.report.commissions.asset import commissions_report
from refersion_dagster.resources import Warehouse
from refersion_dagster_tests.report.commissions.report_helpers import ReportHarness, report_again
from refersion_dagster_tests.report.html_reader import addresses, figure, read, rows, tables, text
from refersion_dagster_tests.summaries.builders import all_summaries

CURRENCIES = ("EUR", "GBP", "USD")
# The sandbox's account was last read on 1 July 2025.
MONTH, BEFORE = "2025-06-01", "2025-05-01"


def ask(reported: ReportHarness, sql: str) -> list[tuple[Any, ...]]:
    return reported.warehouse.query(sql)


def cards_of(reported: ReportHarness, currency: str) -> list[Element]:
    (section,) = [
        found
        for found in reported.page.iter("section")
        if found.get("class") == "chapter" and text(found[0]).startswith(f"{currency} ")
    ]
    (found,) = [one for one in section.iter("dl") if one.get("class") == "cards"]
    return list(found)


def cards(reported: ReportHarness, currency: str) -> dict[str, tuple[Decimal | None, Decimal | None, str]]:
    """Returns each headline figure of a currency: its value, the previous value, and the text of the change."""
    found = cards_of(reported, currency)
    return {text(one[0]): (figure(one[1]), figure(one[2]), text(one[2])) for one in found}


def card(reported: ReportHarness, currency: str, name: str) -> Element:
    return next(one for one in cards_of(reported, currency) if text(one[0]) == name)


def table(reported: ReportHarness, caption: str) -> list[list[Any]]:
    """Returns the rows of a table: the text of the first cell and the figures of the others."""
    found = rows(tables(reported.page)[caption])
    return [[text(cells[0]), *map(figure, cells[1:])] for cells in found]


def test_the_run_succeeds(reported: ReportHarness) -> None:
    assert reported.outcome.success, reported.outcome.failure


class TestFigures:
    @pytest.mark.parametrize("currency", CURRENCIES)
    def test_headline_figures_are_those_of_the_warehouse(self, reported: ReportHarness, currency: str) -> None:
        def both(column: str, table: str = "commission_monthly") -> Sequence[Any]:
            found = ask(
                reported,
                f"SELECT {column} FROM refersion_summaries.{table} WHERE currency = '{currency}' "
                f"AND month IN (DATE '{MONTH}', DATE '{BEFORE}') ORDER BY month DESC",
            )
            return [value for (value,) in found]

        found = cards(reported, currency)
        assert {name: list(values[:2]) for name, values in found.items()} == {
            "Sales": both("sales"),
            "Orders": both("orders"),
            "Average order": both("aov"),
            "Affiliates with sales": both("affiliates"),
            "Commission": both("commission"),
            # The account was first read after the month, so approvals in it are not known.
            "Commission newly due": [None, None],
            "Commission paid": both("paid", "commission_roll_forward"),
            "Due at the month’s end": [both("closing_lowest", "commission_roll_forward")[0], None],
        }
        now, before, words = found["Sales"]
        assert now is not None
        assert before is not None
        assert re.fullmatch(rf"[+-][\d.]+% from .{before:,.2f}", words)
        assert float(words.partition("%")[0]) == pytest.approx(float((now - before) / before * 100), abs=0.06)

    @pytest.mark.parametrize("currency", CURRENCIES)
    def test_what_was_due_before_the_first_reading_has_bounds_and_the_reason(
        self, reported: ReportHarness, currency: str
    ) -> None:
        (bounds,) = ask(
            reported,
            "SELECT closing_lowest, closing_highest FROM refersion_summaries.commission_roll_forward "
            f"WHERE currency = '{currency}' AND month = DATE '{MONTH}'",
        )
        _, value, why = card(reported, currency, "Due at the month’s end")
        assert {Decimal(data.get("value", "")) for data in value.iter("data")} == set(bounds)
        doubt = "not known" if bounds[0] < bounds[1] else "not proven"
        assert text(why) == f"{doubt}: before the first reading"
        assert [text(one) for one in card(reported, currency, "Commission newly due")[1:]] == [
            "not known",
            "before the first reading",
        ]

    def test_the_periods_are_named(self, reported: ReportHarness) -> None:
        head = next(reported.page.iter("header"))
        assert "June 2025, compared with May 2025" in text(head)
        assert "Data as of 1 July 2025, 00:00 UTC. Days and months are in UTC." in text(head)

    def test_currencies_stand_side_by_side_and_are_not_added_up(self, reported: ReportHarness) -> None:
        found = {row[0]: row[1:] for row in table(reported, "Sales and commission of June 2025")}
        owed = dict(ask(reported, "SELECT currency, sum(due) FROM refersion_summaries.commission_liability GROUP BY 1"))
        assert found.keys() == set(CURRENCIES)
        for currency, figures in found.items():
            shown = cards(reported, currency)
            assert figures == [shown["Sales"][0], None, shown["Commission"][0], None, owed[currency]]

    @pytest.mark.parametrize("currency", CURRENCIES)
    def test_the_top_affiliates_are_those_who_sold_most_and_all_of_them_add_up(
        self, reported: ReportHarness, currency: str
    ) -> None:
        *named, everyone = table(reported, f"Top affiliates of June 2025 by sales, {currency}")
        sold = ask(
            reported,
            "SELECT sum(total) FROM refersion_summaries.conversions WHERE conversion_kind = 'order' "
            f"AND commission_state IN ('pending', 'due', 'paid') AND currency = '{currency}' "
            f"AND booked_month = DATE '{MONTH}' GROUP BY affiliate_id ORDER BY 1 DESC",
        )
        shown = [row[1] for row in named if not row[0].startswith("All others")]
        assert shown == [value for (value,) in sold[:10]]
        assert everyone[0] == "All"
        for column in (1, 3, 4):
            assert sum(row[column] for row in named) == everyone[column]
        assert (everyone[1], everyone[4]) == (
            cards(reported, currency)["Sales"][0],
            cards(reported, currency)["Commission"][0],
        )

    @pytest.mark.parametrize("currency", CURRENCIES)
    def test_what_is_owed_is_the_liability_by_age(self, reported: ReportHarness, currency: str) -> None:
        found = table(reported, f"Commission due now by days since approval, {currency}")
        ages = ("due_0_30_days", "due_31_60_days", "due_61_90_days", "due_over_90_days", "credits_not_set_off", "due")
        (sums,) = ask(
            reported,
            f"SELECT {', '.join(f'sum({age})' for age in ages)} FROM refersion_summaries.commission_liability "
            f"WHERE currency = '{currency}'",
        )
        assert sums[4] < 0
        assert [row[0] for row in found][4:] == ["Credits not set off yet", "Due now"]
        assert [row[1] for row in found] == list(sums)
        assert sum(row[1] for row in found[:-1]) == found[-1][1]

    @pytest.mark.parametrize("currency", CURRENCIES)
    def test_the_roll_forward_shows_what_is_known_of_an_account_that_was_read_once(
        self, reported: ReportHarness, currency: str
    ) -> None:
        found = table(reported, f"Roll-forward of commission due, {currency}")
        assert [row[0] for row in found[:2]] == ["July 2025 so far", "June 2025"]
        told = dict(ask(reported, "SELECT currency, sum(due) FROM refersion_summaries.commission_liability GROUP BY 1"))
        assert found[0][6] == told[currency]
        for _, opening, new, credits, paid, taken_back, closing, difference in found:
            # Payments have dates. Other changes are not known, because the account was read only once.
            assert (opening, new, credits, taken_back, difference) == (None,) * 5
            assert paid is not None
            assert closing is not None  # the lower bound

    @pytest.mark.parametrize("currency", CURRENCIES)
    def test_what_became_of_orders_adds_up(self, reported: ReportHarness, currency: str) -> None:
        found = table(reported, f"Orders of the last 12 months by current state, {currency}")
        (counted,) = ask(
            reported,
            "SELECT count(*), sum(commission) FROM refersion_summaries.conversions WHERE conversion_kind = 'order' "
            f"AND currency = '{currency}' AND booked_month <= DATE '{MONTH}'",
        )
        made, *states = [row for row in found if row[0] != "of which paid"]
        assert (made[1], made[4]) == counted
        for column in (1, 4):
            assert sum(row[column] for row in states) == made[column]

    @pytest.mark.parametrize(
        ("shown", "rejections"), [("Approval rate", "'DENIED'"), ("Quality rate", "'DENIED', 'UNQUALIFIED'")]
    )
    def test_approval_rates_are_of_orders_that_were_decided(
        self, reported: ReportHarness, shown: str, rejections: str
    ) -> None:
        asked = ask(
            reported,
            "SELECT currency, count(CASE WHEN status = 'APPROVED' THEN 1 END), "
            f"count(CASE WHEN status IN ({rejections}) THEN 1 END) FROM refersion_summaries.conversions "
            f"WHERE conversion_kind = 'order' AND booked_month <= DATE '{MONTH}' GROUP BY currency",
        )
        terms = [
            (text(term), figure(said))
            for facts in reported.page.iter("dl")
            for term, said in pairwise(facts)
            if term.tag == "dt" and text(term) == shown
        ]
        assert sorted(rate for _, rate in terms if rate) == pytest.approx(
            sorted(Decimal(approved) / (approved + rejected) for _, approved, rejected in asked), abs=Decimal("1e-12")
        )

    def test_findings_are_those_of_the_warehouse(self, reported: ReportHarness) -> None:
        for currency in CURRENCIES:
            found = table(reported, f"Findings by kind, {currency}")
            asked = ask(
                reported,
                "SELECT kind, count(*), sum(conversions), sum(amount_at_stake), sum(amount_unpaid) "
                f"FROM refersion_summaries.conversion_exceptions WHERE currency = '{currency}' GROUP BY kind",
            )
            assert {row[0].lower(): tuple(row[1:]) for row in found} == {row[0]: row[1:] for row in asked}

    def test_control_totals_are_shown_with_their_verdict(self, reported: ReportHarness) -> None:
        found = rows(tables(reported.page)["Conversions and commission according to Refersion and in the warehouse"])
        counts = ask(
            reported,
            "SELECT sum(refersion_count), sum(loaded_count), sum(refersion_commission), sum(loaded_commission) "
            "FROM refersion_summaries.control_totals",
        )[0]
        assert [sum(figure(row[at]) or 0 for row in found) for at in (2, 3, 4, 5)] == list(counts)
        assert {text(row[6]) for row in found} == {"agrees"}

    def test_every_check_of_the_run_has_passed_before_it_is_written(self, reported: ReportHarness) -> None:
        found = rows(tables(reported.page)["Last result of each check"])
        assert {text(row[1]) for row in found} == {"passed"}
        assert {"Control totals agree", "Roll forward ties", "Sums preserved", "Primary key"} <= {
            text(row[0]) for row in found
        }
        *proofs, checks = [text(link) for link in next(reported.page.iter("header")).iter("a")]
        assert re.fullmatch(r"checks: \d+ passed", checks)
        assert any("of commission proven by Refersion's totals" in proof for proof in proofs)


class TestPage:
    def test_it_loads_nothing_and_links_to_nowhere_else(self, reported: ReportHarness) -> None:
        found = list(addresses(reported.page))
        assert found
        assert [address for address in found if not address.startswith(("#", "data:"))] == []
        assert not list(reported.page.iter("script"))
        assert not [name for element in reported.page.iter() for name in element.attrib if name.startswith("on")]
        without_names = reported.html.replace(f'xmlns="{SVG}"', "")
        assert not re.findall(r"<[^>]*https?:[^>]*>", without_names)

    def test_links_within_it_lead_somewhere_and_no_id_is_there_twice(self, reported: ReportHarness) -> None:
        ids = [value for element in reported.page.iter() if (value := element.get("id"))]
        assert len(ids) == len(set(ids))
        for link in reported.page.iter("a"):
            assert unquote(link.get("href", "")[1:]) in ids
        for element in reported.page.iter():
            assert set((element.get("aria-labelledby") or "").split()) <= set(ids)

    def test_those_who_hear_it_find_their_way(self, reported: ReportHarness) -> None:
        page = reported.page
        assert page.get("lang") == "en"
        assert len(list(page.iter("h1"))) == 1
        assert [len(list(page.iter(tag))) for tag in ("header", "nav", "main", "footer", "title")][:4] == [1, 1, 1, 1]
        body = next(page.iter("body"))
        assert (body[0].tag, body[0].get("href")) == ("a", "#main")
        levels = [int(element.tag[1]) for element in page.iter() if re.fullmatch("h[1-6]", element.tag)]
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
        for table in page.iter("table"):
            assert text(next(table.iter("caption")))
            assert all(head.get("scope") in ("col", "row") and text(head) for head in table.iter("th"))
            widths = {len(row) for row in table.iter("tr")}
            assert len(widths) == 1

    def test_charts_have_a_title_and_a_description_and_a_line(self, reported: ReportHarness) -> None:
        charts = [svg for svg in reported.page.iter("svg") if svg.get("role") == "img"]
        # No chart of due commission, because the account was read only once.
        assert len(charts) == 3 * len(CURRENCIES)
        for chart in charts:
            named = {element.get("id"): text(element) for element in chart.iter() if element.get("id")}
            told = [named[name] for name in chart.get("aria-labelledby", "").split()]
            assert len(told) == 2
            assert re.search(r"Lowest .+ in \w+ \d{4}, highest .+, last .+ in June 2025\.", told[1])
            drawn = [path.get("d", "") for path in chart.iter("path") if "line" in path.get("class", "").split()]
            assert max(map(len, drawn)) > 30
        pictures = [svg for svg in reported.page.iter("svg") if svg not in charts]
        assert {svg.get("aria-hidden") for svg in pictures} == {"true"}

    def test_it_is_small(self, reported: ReportHarness) -> None:
        assert len(reported.html.encode()) < 300_000

    def test_no_e_mail_of_anybody_is_in_it(self, reported: ReportHarness) -> None:
        emails = ask(reported, "SELECT email FROM refersion_data.affiliates")
        assert emails
        assert [email for (email,) in emails if email and email in reported.html] == []


class TestAsset:
    def test_it_tells_where_the_report_is_with_figures_and_a_picture(self, reported: ReportHarness) -> None:
        told = reported.outcome.metadata["report/commissions"]
        latest = reported.folder / "latest.html"
        assert told["report"] == str(latest)
        assert told["kept_as"] == str(reported.folder / "commissions-2025-07-01.html")
        assert told["bytes"] == latest.stat().st_size
        assert told["as_of"] == "2025-07-01T00:00:00+00:00"
        passed, _, checks = told["checks_passed"].split()
        assert passed == checks
        assert [line.split("|")[1].strip() for line in told["figures"].splitlines()[2:]] == [
            text(cells[0]) for cells in rows(tables(reported.page)["Sales and commission of June 2025"])
        ]
        assert told["picture"].startswith("![Sales by month, ")
        assert len(told["picture"]) < 20_000

    def test_files_of_the_day_and_the_newest_say_the_same(self, reported: ReportHarness) -> None:
        found = {file.name: file.read_bytes() for file in reported.folder.iterdir()}
        assert found.keys() == {"latest.html", "commissions-2025-07-01.html"}
        assert len(set(found.values())) == 1
        assert read(found["latest.html"].decode()) is not None

    def test_a_folder_that_cannot_be_written_is_told(self, reported: ReportHarness, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        told = report_again(reported.warehouse, tmp_path / "file")
        assert not told.success
        assert told.failure.startswith(f"{tmp_path / 'file'} could not be written: ")
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_summary_that_was_never_built_is_told_with_what_to_do(self, tmp_path: Path) -> None:
        told = report_again(Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb")), tmp_path / "reports")
        assert not told.success
        assert "was never built. Run the job refersion_refresh first" in told.failure
        assert not (tmp_path / "reports").exists()

    def test_it_stands_on_every_summary_that_it_reads(self) -> None:
        some = ("commission_monthly", "commission_liability", "commission_roll_forward", "control_totals")
        (spec,) = commissions_report(all_summaries(), []).specs
        upstream = {dependency.asset_key.to_user_string() for dependency in spec.deps}
        assert {f"summaries/{name}" for name in some} < upstream
        assert all(key.startswith("summaries/") for key in upstream)

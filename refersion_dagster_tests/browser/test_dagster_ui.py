"""Dagster's UI on the code location, as a person sees it: a real `dagster dev` on the sandbox, all materialised."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.browser.browser_page import BrowserPage
from refersion_dagster_tests.location import SMALL, Location
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.web_page import ask, free_port

pytestmark = pytest.mark.processes

# Pages poll, and a run takes seconds.
PATIENCE, LONG = 20_000, 90_000
GROUPS = ("refersion", "core", "sales", "owed", "review", "proof", "published", "actions", "webhooks")
LOADED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
DEFINITIONS = "locations/refersion_dagster.definitions"
ASSET = "assets/summaries/commission_by_affiliate"
BY_HAND = dg.RunsFilter(job_name="__ASSET_JOB")


@dataclass(frozen=True)
class Ui:
    url: str
    location: Location
    look: Callable[..., BrowserPage]

    def open(self, path: str) -> BrowserPage:
        return self.look(f"{self.url}/{path}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, browser: object) -> Iterator[tuple[str, Location]]:
    """`dagster dev` beside a refresh: both take seconds to start. Only where there is a browser to look with."""
    folder, port = tmp_path_factory.mktemp("ui"), free_port()
    with SandboxServer(SMALL) as sandbox:
        location = Location.of(folder, sandbox).with_settings(
            REFERSION_PUBLISH_PATH=str(folder / "published"),
            REFERSION_REPORT_PATH=str(folder / "reports"),
            # Not while this runs.
            REFERSION_NIGHTLY_CRON=f"0 {(datetime.now(UTC) + timedelta(hours=12)).hour} * * *",
        )
        (folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
        with location.records() as records:
            # Two processes that make Dagster's tables at the same time are in each other's way.
            records.get_runs(limit=1)
            records.all_instigator_state()
            records.get_latest_materialization_event(dg.AssetKey("none"))
        with (folder / "dagster.log").open("w") as log:
            command = ("dagster", "dev", "-m", "refersion_dagster.definitions", "--port", str(port))
            process = location.start(*command, output=log)
            try:
                assert (refreshed := location.refresh()).code == 0, refreshed.output
                assert soon(lambda: bool(ask(port, LOADED)["repositoriesOrError"].get("nodes")), 60, every=0.2)
                yield f"http://127.0.0.1:{port}", location
            finally:
                process.terminate()
                process.wait(timeout=60)


@pytest.fixture
def ui(served: tuple[str, Location], look: Callable[..., BrowserPage]) -> Ui:
    return Ui(*served, look)


def sees(page: Page, text: str | re.Pattern[str], patience: float = PATIENCE) -> None:
    """Waits until the text is to be seen somewhere on the page."""
    expect(page.get_by_text(text).filter(visible=True).first).to_be_visible(timeout=patience)


def test_the_asset_graph_shows_every_group(ui: Ui) -> None:
    seen = ui.open("asset-groups")
    for group in GROUPS:
        expect(seen.page.get_by_text(group, exact=True).first).to_be_visible(timeout=PATIENCE)
    assert seen.errors == []


def test_an_assets_page_tells_what_it_answers_and_each_column(ui: Ui) -> None:
    seen = ui.open(ASSET)
    (summary,) = [summary for summary in load_summaries() if summary.name == "commission_by_affiliate"]
    for question in summary.header.questions:
        sees(seen.page, question)
    sees(seen.page, "Grain:")
    sees(seen.page, "refersion_summaries.commission_by_affiliate")
    for column in summary.columns:
        expect(seen.page.get_by_text(column, exact=True).first).to_be_attached(timeout=PATIENCE)
    sees(seen.page, " ".join(summary.header.columns["affiliate_name"].split()))
    assert seen.errors == []


def test_a_materialisation_shows_its_first_rows(ui: Ui) -> None:
    seen = ui.open(f"{ASSET}?view=events")
    ((name,),) = ui.location.query(
        "SELECT affiliate_name FROM refersion_summaries.commission_by_affiliate ORDER BY sales DESC LIMIT 1"
    )
    row = seen.page.get_by_role("row").filter(has_text="preview")
    row.get_by_text("Show Markdown").click(timeout=PATIENCE)
    table = seen.page.get_by_role("dialog").get_by_role("table")
    expect(table.get_by_role("columnheader").first).to_have_text("affiliate_id", timeout=PATIENCE)
    expect(table.get_by_role("cell", name=name).first).to_be_visible()
    assert seen.errors == []


def test_a_plot_is_a_picture_and_no_markdown(ui: Ui) -> None:
    seen = ui.open("assets/summaries/commission_daily?view=events")
    seen.page.get_by_role("row").filter(has_text="plot").get_by_text("Show Markdown").click(timeout=PATIENCE)
    pictures = seen.page.get_by_role("dialog").locator("img[src^='data:image/']")
    # One for each currency.
    expect(pictures).to_have_count(3, timeout=PATIENCE)
    for picture in pictures.all():
        assert picture.evaluate("image => image.complete && image.naturalWidth > 100 && image.naturalHeight > 50")
    assert seen.errors == []


def test_lineage_leads_from_what_it_reads_to_what_reads_it(ui: Ui) -> None:
    seen = ui.open(f"{ASSET}?view=lineage")
    for neighbour in ("affiliates", "conversions", "commission_by_affiliate", "summaries"):
        expect(seen.page.get_by_text(neighbour, exact=True).first).to_be_visible(timeout=PATIENCE)
    assert seen.errors == []


def test_a_checks_page_says_what_it_holds_and_what_it_found(ui: Ui) -> None:
    seen = ui.open("assets/summaries/control_totals?view=checks")
    seen.page.get_by_text("control_totals_agree").first.click(timeout=PATIENCE)
    sees(seen.page, re.compile("The loaded conversions add up to Refersion's own totals, to the cent"))
    sees(seen.page, "Passed")
    expect(seen.page.get_by_role("row").filter(has_text="offending_rows").first).to_contain_text("0")
    assert seen.errors == []


def test_the_nightly_schedule_runs_and_the_others_wait_to_be_switched_on(ui: Ui) -> None:
    seen = ui.open("automation")
    for name, runs in {"refersion_nightly": True, "refersion_hourly": False, "refersion_weekly": False}.items():
        seen.page.get_by_text(name, exact=True).first.wait_for(timeout=PATIENCE)
        switch = seen.page.locator("div", has=seen.page.get_by_text(name, exact=True)).filter(
            has=seen.page.get_by_role("checkbox")
        )
        expect(switch.last.get_by_role("checkbox").last).to_be_checked(checked=runs, timeout=PATIENCE)
    assert seen.errors == []


def test_the_backfill_offers_the_months_of_the_account(ui: Ui) -> None:
    seen = ui.open(f"{DEFINITIONS}/jobs/refersion_backfill/partitions")
    first = ui.location.environment["REFERSION_START_DATE"][:7]
    sees(seen.page, f"{first}-01")
    sees(seen.page, f"{datetime.now(UTC):%Y-%m}-01")
    seen.page.get_by_role("button", name=re.compile("Launch backfill")).click(timeout=PATIENCE)
    sees(seen.page, re.compile("Launch .*backfill"))
    assert seen.errors == []


def test_what_is_launched_by_hand_ends_in_success(ui: Ui) -> None:
    seen = ui.open(ASSET)
    seen.page.get_by_role("button", name="Materialize").first.click(timeout=PATIENCE)
    with ui.location.records() as records:
        assert soon(lambda: bool(records.get_runs(BY_HAND)), 20, every=0.1)
        (run,) = records.get_runs(BY_HAND)
    of_run = ui.open(f"runs/{run.run_id}")
    sees(of_run.page, "Success", LONG)
    sees(of_run.page, re.compile("summaries__commission_by_affiliate"))
    assert seen.errors + of_run.errors == []


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ("refersion_refresh", "No errors"),
        ("refersion_backfill", "No errors"),
        # A person has to say who asks, and the date, before anything can be sent.
        ("actions_conversion_manual_credit", re.compile("Missing required config entries .*launched_on.*requested_by")),
    ],
)
def test_a_launchpad_is_ready_or_says_what_is_missing(ui: Ui, job: str, says: str | re.Pattern[str]) -> None:
    seen = ui.open(f"{DEFINITIONS}/jobs/{job}/playground")
    sees(seen.page, says)
    launch = seen.page.get_by_role("button", name="Launch Run").first
    expect(launch).to_be_enabled(enabled=says == "No errors", timeout=PATIENCE)
    assert seen.errors == []


def test_nothing_of_the_keys_is_on_a_page(ui: Ui) -> None:
    seen = ui.open(f"{DEFINITIONS}/jobs/refersion_refresh/playground")
    sees(seen.page, "REFERSION_SECRET_KEY")
    for name in ("REFERSION_SECRET_KEY", "REFERSION_GRAPHQL_TOKEN"):
        assert ui.location.environment[name] not in seen.page.content()

"""The report and the statements as they are opened from disk: in a window, on a phone, in the dark, on paper."""

from __future__ import annotations

import html
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, Dialog, Page

from refersion_dagster.report.resource import Reports
from refersion_dagster.report.statements.asset import statements_asset
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.browser.browser_page import BrowserPage
from refersion_dagster_tests.location import SMALL, fresh_instance, outcome
from refersion_dagster_tests.report.commissions.report_helpers import report_of

pytestmark = pytest.mark.processes

SCRIPT = "<script>alert(1)</script>"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "device_scale_factor": 2}
KINDS = ("report", "statement", "index")
# Lightness of sRGB and contrast as WCAG 2.2 reckons them; every text of the page against the ground that it is seen on.
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const lightness = colour => {
    const [r, g, b] = [...rgba(colour)].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgba(colour)[3] > 0) return colour;
    }
    return getComputedStyle(document.documentElement).colorScheme.includes('dark') ? 'black' : 'white';
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [lightness(element.closest('svg') ? style.fill : style.color), lightness(ground(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 60)]);
  }
  return found;
}"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
LENGTHS = """() => [...document.querySelectorAll('figure svg')].map(svg => {
  const box = svg.getBoundingClientRect();
  const lengths = [...svg.querySelectorAll('path, polyline, line')].map(path => path.getTotalLength());
  return [box.width, box.height, Math.max(0, ...lengths)];
})"""


@dataclass(frozen=True)
class Documents:
    """What a run wrote."""

    report: Path
    statement: Path
    index: Path

    def url(self, kind: str) -> str:
        return getattr(self, kind).as_uri()


@pytest.fixture(scope="module")
def documents(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """Reports and statements of a sandbox's account. Moved, so that a link to a place of this machine would break."""
    folder = tmp_path_factory.mktemp("documents")
    with SandboxServer(SMALL) as sandbox:
        for affiliate in sandbox.account.affiliates:
            sandbox.change_affiliate(affiliate, first_name=SCRIPT, last_name=f"No. {affiliate}")
        reported = report_of(sandbox, folder)
    assert reported.outcome.success, reported.outcome.failure
    with fresh_instance() as instance:
        result = dg.materialize(
            [statements_asset()],
            resources={"warehouse": reported.warehouse, "reports": Reports(folder=str(reported.folder))},
            # The account was read once, after the month was over.
            run_config={"ops": {"report__statements": {"config": {"allow_unknown": True}}}},
            instance=instance,
        )
        index = Path(outcome(instance, result.run_id).metadata["report/statements"]["index"])
    moved = folder / "moved"
    shutil.copy(reported.folder / "latest.html", folder / "latest.html")
    shutil.copytree(index.parent, moved)
    named = [file for file in sorted(moved.glob("*.html")) if html.escape(SCRIPT) in file.read_text("utf-8")]
    statement = next(file for file in named if file.name != index.name)
    return Documents(folder / "latest.html", statement, moved / index.name)


Look = Callable[..., BrowserPage]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_it_opens_from_disk_without_an_error_or_a_request_for_anything_else(
    documents: Documents, look: Look, kind: str
) -> None:
    seen = look(documents.url(kind))
    seen.page.wait_for_load_state("networkidle")
    assert seen.errors == []
    assert seen.requests[0] == documents.url(kind)
    assert [address for address in seen.requests[1:] if not address.startswith("data:")] == []
    assert seen.page.locator("h1").count() == 1


@pytest.mark.parametrize("page", ["report", "statement"])
def test_a_name_that_is_a_script_is_shown_and_not_run(documents: Documents, look: Look, page: str) -> None:
    said: list[str] = []
    seen = look("about:blank")

    def on_dialog(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    seen.page.on("dialog", on_dialog)
    seen.page.goto(documents.url(page))
    shown = seen.page.get_by_text(SCRIPT).filter(visible=True).first
    assert shown.is_visible()
    assert seen.page.locator("script").count() == 0
    assert said == []


def test_charts_of_the_report_are_drawn(documents: Documents, look: Look) -> None:
    drawn = look(documents.url("report")).page.evaluate(LENGTHS)
    assert len(drawn) >= 3
    for width, height, longest in drawn:
        assert width > 200
        assert height > 80
        assert longest > 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(documents: Documents, look: Look, kind: str, scheme: str) -> None:
    page = look(documents.url(kind), color_scheme=scheme).page
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert [(round(contrast, 2), text) for contrast, text in contrasts if contrast < 4.5] == []


def test_the_dark_view_is_dark(documents: Documents, look: Look, kind: str) -> None:
    def ground(scheme: str) -> str:
        page = look(documents.url(kind), color_scheme=scheme).page
        return page.evaluate("() => getComputedStyle(document.body).backgroundColor")

    assert ground("light") == "rgb(255, 255, 255)"
    assert max(map(int, ground("dark").removeprefix("rgb(").removesuffix(")").split(", "))) < 60


def test_a_phone_shows_it_without_scrolling_sideways(documents: Documents, look: Look, kind: str) -> None:
    page = look(documents.url(kind), **PHONE).page
    assert page.evaluate(WIDER) == 0
    assert page.evaluate("() => document.documentElement.clientWidth") == PHONE["viewport"]["width"]
    # What is wider scrolls in a box of its own, which the keyboard reaches too.
    assert page.evaluate(
        """() => [...document.querySelectorAll('table')].every(table => {
          const box = table.parentElement;
          return box.scrollWidth <= box.clientWidth
            || (['auto', 'scroll'].includes(getComputedStyle(box).overflowX) && box.tabIndex === 0);
        })"""
    )
    assert page.evaluate(
        """() => [...document.querySelectorAll('.scroll')].every(box => box.scrollWidth <= box.clientWidth
          || getComputedStyle(box.querySelector('.sideways')).display === 'block')"""
    ), "a table with columns off the screen does not say so"


def test_a_phone_shows_commission_beside_its_order_with_dates_in_one_line(documents: Documents, look: Look) -> None:
    page = look(documents.url("statement"), **PHONE).page
    titles = page.locator("table.conversions thead th")
    names = titles.all_inner_texts()
    boxes = {name: titles.nth(at).bounding_box() for at, name in enumerate(names[:3])}
    assert list(boxes) == ["Order", "Date", "Commission"]
    for name, box in boxes.items():
        assert box, name
        assert box["x"] + box["width"] <= PHONE["viewport"]["width"], name
    lines = page.evaluate(
        """() => [...document.querySelectorAll('td.date')].map(cell => {
          const range = document.createRange();
          range.selectNodeContents(cell);
          return range.getClientRects().length;
        })"""
    )
    assert set(lines) == {1}


def test_the_keyboard_goes_to_the_main_part_first_and_then_from_link_to_link(
    documents: Documents, look: Look, kind: str
) -> None:
    page = look(documents.url(kind)).page

    def focus() -> tuple[str, str]:
        return page.evaluate("() => [document.activeElement.tagName, document.activeElement.getAttribute('href')]")

    page.keyboard.press("Tab")
    assert focus() == ["A", "#main"]
    skip = page.locator("a.skip")
    assert (box := skip.bounding_box())
    assert box["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
    page.goto(documents.url(kind))
    links = [link.get_attribute("href") for link in page.locator("a[href]").all() if link.is_visible()]
    reached = []
    for _ in page.locator("a[href], [tabindex='0'], summary").all():
        page.keyboard.press("Tab")
        reached += [address for tag, address in [focus()] if tag == "A"]
    # What is folded away is no stop, so that this may have gone round.
    assert reached[: len(links)] == links


def test_paper_shows_no_navigation_and_all_figures(documents: Documents, look: Look, kind: str) -> None:
    page = look(documents.url(kind), color_scheme="dark").page
    on_screen = page.locator("main").inner_text()
    page.emulate_media(media="print")
    for hidden in page.locator("nav, .skip, .screen").all():
        assert not hidden.is_visible()
    assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(31, 35, 40)"
    assert len(page.locator("main").inner_text()) > len(on_screen) / 2
    paper = page.pdf(format="A4", prefer_css_page_size=True)
    assert paper.startswith(b"%PDF-")
    assert pages(paper) >= 1


def test_a_statement_of_a_dozen_lines_is_one_sheet(documents: Documents, look: Look) -> None:
    lines = {
        file: file.read_text("utf-8").count("<tr")
        for file in documents.statement.parent.glob("*.html")
        if file != documents.index
    }
    short = min((file for file, count in lines.items() if count > 9), key=lines.__getitem__)
    page = look(short.as_uri()).page
    assert 5 < page.locator("tbody tr").count() <= 15
    assert pages(page.pdf(format="A4", prefer_css_page_size=True)) == 1


def pages(paper: bytes) -> int:
    """How many sheets a PDF of Chromium's has."""
    return io.BytesIO(paper).getvalue().count(b"/Type /Page\n")


def test_no_page_overflows_a_narrow_window(documents: Documents, look: Look, kind: str) -> None:
    page: Page = look(documents.url(kind), viewport={"width": 320, "height": 640}).page
    assert page.evaluate(WIDER) == 0

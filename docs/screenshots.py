"""Makes the pictures of README.md and docs: `make screenshots`. Needs a browser, and takes a minute.

The demo's account is the same each time, so the pictures change with what they show and with Dagster's UI alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from refersion_dagster.report.daily_files import LATEST
from refersion_dagster_tests.browser.browser_binary import FLAGS, MISSING, find_browser
from refersion_dagster_tests.web_page import ask, free_port

IMAGES = Path(__file__).parent / "images"
COMMAND = Path(sys.executable).with_name("refersion-dagster")
MOST_BYTES = 300_000
LOADED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
# For figures of assets that arrive one by one.
SETTLED = 2_000


def main() -> int:
    """Makes all pictures; returns the exit code."""
    path = find_browser()
    if path is None:
        print(MISSING)
        return 1
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        subprocess.run([COMMAND, "demo", "--folder", folder], check=True)
        with (
            playwright.chromium.launch(executable_path=path, args=FLAGS) as browser,
            served(Path(folder)) as url,
        ):
            asset_graph(browser, url)
            asset_page(browser, url)
            report(browser, Path(folder) / "reports" / LATEST)
    too_large = [image.name for image in IMAGES.glob("*.png") if image.stat().st_size > MOST_BYTES]
    if too_large:
        print(f"Larger than {MOST_BYTES:,} bytes: {', '.join(too_large)}")
    return 1 if too_large else 0


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Dagster's UI on the demo's folder."""
    port = free_port()
    command = [COMMAND, "dev", "--sandbox", "--folder", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        try:
            while not ask(port, LOADED)["repositoriesOrError"].get("nodes"):
                pass
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def asset_graph(browser: Browser, url: str) -> None:
    """All groups, from Refersion's tables to what is made of them, without what stands around the graph."""
    page = browser.new_page(viewport={"width": 1280, "height": 820}, device_scale_factor=1.5)
    page.goto(f"{url}/asset-groups")
    page.get_by_text("Hide navigation").click()
    # Fitted to the room that there is now.
    page.reload()
    page.get_by_text("published", exact=True).first.wait_for()
    shot(page, "asset-graph", {"x": 404, "y": 155, "width": 831, "height": 542})


def asset_page(browser: Browser, url: str) -> None:
    """What a summary answers, and its columns."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{url}/assets/summaries/commission_by_affiliate")
    page.get_by_text("Who drove the sales?").wait_for()
    shot(page, "asset")


def report(browser: Browser, file: Path) -> None:
    """The beginning of the report."""
    page = browser.new_page(viewport={"width": 1180, "height": 1300})
    page.goto(file.as_uri())
    shot(page, "report")


def shot(page: Page, name: str, clip: FloatRect | None = None) -> None:
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", clip=clip)
    page.close()


if __name__ == "__main__":
    raise SystemExit(main())

"""A browser, where this machine has one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from refersion_dagster_tests.browser.seeing import Seen, open_page

# Debian's name, Ubuntu's, and Google's own.
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # which containers and root do not have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Of a module: Playwright keeps an event loop in this thread for as long as it runs, which other tests could not bear.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser that is installed; nothing is fetched."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser is installed: there is no {', '.join(NAMES[:-1])} or {NAMES[-1]} on PATH")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=FLAGS) as running:
        yield running


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Seen]]:
    """Opens an address in a window of its own, with what goes wrong in it noted down."""
    contexts = []

    def opened(url: str, **window: object) -> Seen:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, **window})
        contexts.append(context)
        return open_page(context, url)

    yield opened
    for context in contexts:
        context.close()

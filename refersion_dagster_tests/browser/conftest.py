"""A browser, if this machine has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from refersion_dagster_tests.browser.browser_binary import FLAGS, MISSING, find_browser
from refersion_dagster_tests.browser.browser_page import BrowserPage, open_page


# Module scope: Playwright keeps an event loop in this thread while it runs, which breaks other tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The installed browser; nothing is downloaded."""
    path = find_browser()
    if path is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=FLAGS) as running:
        yield running


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., BrowserPage]]:
    """Opens an address in its own window and records the errors in it."""
    contexts: list[BrowserContext] = []

    def opened(url: str, **window: Any) -> BrowserPage:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, **window})
        contexts.append(context)
        return open_page(context, url)

    yield opened
    for context in contexts:
        context.close()

"""A page in a browser, and what one would see in the browser's own tools: errors and requests."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request

LOCAL = ("file:", "data:", "blob:", "about:")


@dataclass
class BrowserPage:
    """A page, and what happened while it was looked at.

    Args:
        errors: of its console and its scripts.
        requests: addresses that it asked for.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def from_elsewhere(self) -> list[str]:
        """Requests for anything that is not in the file itself or on this disk."""
        return [address for address in self.requests if not address.startswith(LOCAL)]


def open_page(context: BrowserContext, url: str) -> BrowserPage:
    """Opens an address, listening before anything is asked for."""
    seen = BrowserPage(context.new_page())

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            seen.errors.append(f"{message.text} ({message.location.get('url')})")

    def on_error(error: Error) -> None:
        seen.errors.append(str(error))

    def on_request(request: Request) -> None:
        seen.requests.append(request.url)

    seen.page.on("console", on_console)
    seen.page.on("pageerror", on_error)
    seen.page.on("request", on_request)
    seen.page.goto(url)
    return seen

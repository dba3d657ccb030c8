"""Refersion's public status page: open incidents, maintenance, and components that are not operational.

The page's address is listed in public directories of APIs (seen), with components for the REST and GraphQL APIs (seen;
their exact names are unknown). The format is that of Atlassian Statuspage, whose pages all have /api/v2/summary.json
(documented by Atlassian). That Refersion's page has it is not documented (inferred). So every answer of another form
means that the status is unknown, and nothing depends on the page: reading it never fails and takes a few seconds at
most. No key is sent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

from refersion_dagster.refersion.api.connections import USER_AGENT, connection_pool
from refersion_dagster.settings import AccountSettings
from refersion_dagster.settings.values import OFF

PAGE = "https://statuspage.refersion.com"
SUMMARY = "/api/v2/summary.json"
SECONDS = 3.0
LARGEST_ANSWER = 1_000_000
# One page may redirect to another host. Nothing is tried again.
REDIRECTS = urllib3.Retry(total=2, connect=0, read=0, status=0, other=0, redirect=2)

# Impacts and statuses of Statuspage (documented).
SEVERE = ("major", "critical")
OUTAGES = ("partial_outage", "major_outage")
CLOSED = ("resolved", "postmortem", "completed")
IN_PROGRESS = ("in_progress", "verifying")
# Components whose outage keeps data from being read. Others, such as a dashboard, do not.
API_WORDS = ("api", "graphql", "rest")
# Maximum number of notices, and of characters of each name, in a message.
MOST_NOTICES, LONGEST_NAME = 3, 200


@dataclass(frozen=True)
class StatusSummary:
    """What the status page says.

    Args:
        notices: open incidents, maintenance in progress and components with problems, in the page's own words.
        is_outage: whether the page reports an outage, for which it is reasonable to wait.
        unknown: why the status is unknown; None if it is known.
    """

    notices: tuple[str, ...] = ()
    is_outage: bool = False
    unknown: str | None = None

    def __str__(self) -> str:
        """The notices as one sentence. Empty without any."""
        if not self.notices:
            return ""
        more = len(self.notices) - MOST_NOTICES
        shown = "; ".join(self.notices[:MOST_NOTICES]) + (f"; and {more} more" if more > 0 else "")
        return f"Refersion's status page reports: {shown}."


@dataclass(frozen=True)
class StatusPage:
    """A status page.

    Args:
        url: its address, without the path of the summary.
    """

    url: str

    @classmethod
    def of(cls, status_url: str | None, rest_url: str, graphql_url: str) -> StatusPage | None:
        """The page of an account. None if there is none to read.

        Refersion's own page says nothing about other servers, such as a sandbox. For these, only a page that is set
        is read.
        """
        if status_url == OFF:
            return None
        if status_url:
            return cls(status_url)
        theirs = (AccountSettings.default("rest_url"), AccountSettings.default("graphql_url"))
        return cls(PAGE) if (rest_url, graphql_url) == theirs else None

    def read(self, seconds: float = SECONDS) -> StatusSummary:
        """Reads the page. Returns a StatusSummary with `unknown` after `seconds`, or if the page cannot be read."""
        found: list[StatusSummary] = []
        # In a thread of its own, because no timeout covers a whole request, from the look-up of the name to the last
        # byte of a slow answer.
        thread = threading.Thread(target=lambda: found.append(self._read(seconds)), name="status-page", daemon=True)
        thread.start()
        thread.join(seconds)
        return found[0] if found else StatusSummary(unknown=f"{self.host} did not answer within {seconds:g} s")

    @property
    def host(self) -> str:
        try:
            return urlsplit(self.url).hostname or self.url
        except ValueError:
            return self.url

    def _read(self, seconds: float) -> StatusSummary:
        url = self.url.rstrip("/") + SUMMARY
        try:
            with connection_pool(url, 1, urllib3.Timeout(2 * seconds)) as pool:
                answer = pool.request(
                    "GET",
                    url,
                    headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
                    retries=REDIRECTS,
                    preload_content=False,
                )
                content = answer.read(LARGEST_ANSWER)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return StatusSummary(unknown=f"{self.host} cannot be read ({type(error).__name__})")
        if answer.status != 200:
            return StatusSummary(unknown=f"{self.host} answered with HTTP {answer.status}")
        try:
            return parse_summary(json.loads(content))
        except (ValueError, RecursionError):
            return StatusSummary(unknown=f"{self.host} did not answer in the format of a status page")


def parse_summary(summary: Any) -> StatusSummary:
    """The content of a summary.json. Raises ValueError if it has another form."""
    if not isinstance(summary, Mapping) or not isinstance(summary.get("status"), Mapping):
        raise ValueError("no status")
    incidents = [one for one in _list(summary, "incidents") if one.get("status") not in CLOSED]
    maintenances = [one for one in _list(summary, "scheduled_maintenances") if one.get("status") in IN_PROGRESS]
    troubled = [
        one
        for one in _list(summary, "components")
        if one.get("status") not in (None, "operational", "under_maintenance") and not one.get("group")
    ]
    notices = [
        *(_describe(one, "incident", "impact", "status") for one in incidents),
        *(_describe(one, "maintenance", "status") for one in maintenances),
        *(_describe(one, "component", "status") for one in troubled),
    ]
    is_outage = any(one.get("impact") in SEVERE for one in incidents) or any(
        one.get("status") in OUTAGES and any(word in str(one.get("name")).lower() for word in API_WORDS)
        for one in troubled
    )
    return StatusSummary(tuple(notices), is_outage or summary["status"].get("indicator") in SEVERE)


def _list(summary: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    found = summary.get(name, [])
    if not isinstance(found, list):
        raise ValueError(f"{name} is not a list")
    return (one for one in found if isinstance(one, Mapping))


def _describe(one: Mapping[str, Any], kind: str, *details: str) -> str:
    """One entry of the page: its name in quotation marks and what else it says, each on one line."""
    told = [_line(one[name]) for name in details if one.get(name)]
    since = one.get("started_at") or one.get("created_at") if kind == "incident" else None
    told += [f"since {_line(since)}"] if since else []
    return f'{kind} "{_line(one.get("name"))}"' + (f" ({', '.join(told)})" if told else "")


def _line(text: Any) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    return line if len(line) <= LONGEST_NAME else f"{line[:LONGEST_NAME]}…"

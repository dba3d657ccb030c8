"""Sends messages through apprise: Slack, Teams, e-mail and a hundred other services."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from refersion_dagster.settings import AlertSettings

log = logging.getLogger(__name__)

URLS_VARIABLE = AlertSettings.variable("alert_urls")


@dataclass(frozen=True)
class Channel:
    """A destination for alerts. Its URL contains a secret and is never shown.

    Args:
        number: its position in REFERSION_ALERT_URLS, from 1.
    """

    number: int
    url: str

    def __str__(self) -> str:
        kind = self.url.partition("://")[0]
        return f"channel {self.number} ({kind if kind.isalnum() else 'unreadable'}) of {URLS_VARIABLE}"

    __repr__ = __str__


def channels(settings: AlertSettings) -> list[Channel]:
    """The channels of REFERSION_ALERT_URLS, which are separated by spaces or line breaks."""
    urls = settings.alert_urls.get_secret_value() if settings.alert_urls else ""
    return [Channel(number, url) for number, url in enumerate(urls.split(), start=1)]


def describe_unusable(settings: AlertSettings) -> list[str]:
    """Describes the problem of each channel that cannot be used, without its URL."""
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    found = []
    for channel in channels(settings):
        try:
            known = apprise.Apprise().add(channel.url)
        except Exception:  # noqa: BLE001 - any error of a service's code, as in send
            known = False
        if not known:
            found.append(f"{channel} is not a valid apprise URL.")
    return found


def send(to: Sequence[Channel], title: str, text: str) -> list[Channel]:
    """Sends a message to every channel, even if some fail. Returns those that could not be reached."""
    import apprise  # only if there is something to send: apprise loads a hundred services

    # apprise logs URLs, including tokens, if sending fails.
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    failed = []
    for channel in to:
        sender = apprise.Apprise()
        try:
            reached = sender.add(channel.url) and sender.notify(
                title=title, body=text, body_format=apprise.NotifyFormat.TEXT
            )
        except Exception as error:  # noqa: BLE001 - an alert must not break anything, regardless of the service's error
            log.warning("%s failed: %s", channel, type(error).__name__)
            reached = False
        if not reached:
            failed.append(channel)
    return failed

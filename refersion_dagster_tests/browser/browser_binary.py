"""Which browser this machine has, and how it is started: quietly, and without asking anybody for anything."""

from __future__ import annotations

import shutil

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
MISSING = f"no browser is installed: there is no {', '.join(NAMES[:-1])} or {NAMES[-1]} on PATH"


def find_browser() -> str | None:
    """The path of the browser; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)

"""Google's client. It comes with the extra `bigquery` only, so it is imported where it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def google_client() -> Any:
    """Its module for BigQuery."""
    return import_module("google.cloud.bigquery")


def google_errors() -> tuple[type[Exception], ...]:
    """What its calls raise: Google's answers, those of the login, and those of the way there."""
    answers, login = import_module("google.api_core.exceptions"), import_module("google.auth.exceptions")
    network = import_module("requests.exceptions")
    return answers.GoogleAPICallError, answers.RetryError, login.GoogleAuthError, network.RequestException

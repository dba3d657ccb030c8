"""Google's client. Only the extra `bigquery` installs it, so it is imported where it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def google_client() -> Any:
    """Google's module for BigQuery."""
    return import_module("google.cloud.bigquery")


def google_errors() -> tuple[type[Exception], ...]:
    """The exceptions that its calls raise: API errors, login errors and connection errors."""
    answers, login = import_module("google.api_core.exceptions"), import_module("google.auth.exceptions")
    network = import_module("requests.exceptions")
    return answers.GoogleAPICallError, answers.RetryError, login.GoogleAuthError, network.RequestException

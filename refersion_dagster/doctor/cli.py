"""`refersion-dagster doctor`"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import click

from refersion_dagster.settings.selection import account_option, select_account


@contextmanager
def logging_disabled() -> Iterator[None]:
    """Hides warnings of libraries: the checks report what they are about."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


@click.command()
@account_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: {ok, checks: [{name, status, message, …}]}.")
def doctor(account: str | None, as_json: bool) -> None:
    """Check everything that a refresh needs, and say how to fix problems.

    Checks settings, Refersion's REST and GraphQL APIs, the warehouse, this machine and Dagster within seconds. Nothing
    is written to Refersion or to the warehouse, and no key is shown.

    The exit code is 0 if a refresh would work, otherwise 1. Settings are read from the environment and from .env.
    """
    from rich.console import Console

    from refersion_dagster.doctor.examination import examine
    from refersion_dagster.doctor.render import show

    with logging_disabled():
        selected = select_account(account)
        findings = examine(selected.settings, selected.names, selected.build, selected.resource)
    if as_json:
        click.echo(json.dumps(findings.as_json(), indent=2, ensure_ascii=False))
    else:
        show(findings, Console(highlight=False))
    raise SystemExit(0 if findings.ok else 1)

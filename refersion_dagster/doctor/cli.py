"""`refersion-dagster doctor`"""

from __future__ import annotations

import json
import logging

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: {ok, checks: [{name, status, message, …}]}.")
def doctor(as_json: bool) -> None:
    """Check everything that a refresh needs, and say how to fix problems.

    Checks settings, Refersion's REST and GraphQL APIs, the warehouse, this machine and Dagster within seconds. Nothing
    is written to Refersion or to the warehouse, and no key is shown.

    The exit code is 0 if a refresh would work, otherwise 1. Settings are read from the environment and from .env.
    """
    from rich.console import Console

    from refersion_dagster.doctor.examination import examine
    from refersion_dagster.doctor.render import show
    from refersion_dagster.settings import load_settings

    # The checks report what the libraries' warnings are about.
    logging.disable(logging.ERROR)
    findings = examine(load_settings())
    if as_json:
        click.echo(json.dumps(findings.as_json(), indent=2, ensure_ascii=False))
    else:
        show(findings, Console(highlight=False))
    raise SystemExit(0 if findings.ok else 1)

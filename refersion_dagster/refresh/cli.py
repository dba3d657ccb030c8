"""`refersion-dagster refresh` and `refersion-dagster statements`"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from refersion_dagster.settings.selection import account_option

if TYPE_CHECKING:
    from refersion_dagster.refresh.run import ShellRun


@click.command()
@account_option
def refresh(account: str | None) -> None:
    """Bring everything up to date: run the job refersion_refresh from a shell.

    It is the same run as in Dagster: it reads new rows and rows that may have changed, rebuilds the summaries, runs
    every check, and writes the published copies and the report. Dagster's web page shows the run if both use the same
    DAGSTER_HOME (default: .dagster of this folder).

    \b
    Exit codes:
      0    everything is up to date and no check failed; warnings do not count
      1    the run or a check failed, or a setting prevents the run from starting
      130  interrupted by Ctrl-C (143: by SIGTERM)
    """
    from refersion_dagster.refresh.run import ShellRun

    _run(lambda: ShellRun(account))


@click.command()
@account_option
@click.option(
    "--month", metavar="YYYY-MM", help="The month. Default: the last month that had ended when Refersion was last read."
)
@click.option("--affiliate", metavar="ID", help="Only the statement of this affiliate, written to a separate folder.")
@click.option("--unfinished", is_flag=True, help="Allow a month that has not ended; the statements say so.")
@click.option(
    "--allow-unknown", is_flag=True, help="Allow a month that is not completely known; the statements say so."
)
@click.option(
    "--despite-failed-checks", is_flag=True, help="Generate them although a blocking check of their tables failed."
)
def statements(
    account: str | None,
    month: str | None,
    affiliate: str | None,
    unfinished: bool,
    allow_unknown: bool,
    despite_failed_checks: bool,
) -> None:
    """Generate the statements of a month: run the job refersion_statements from a shell.

    Refersion is not queried. The exit code is 0 if the statements were written, and 1 if they were refused, with the
    reason.
    """
    from refersion_dagster.refresh.run import ShellStatementsRun

    chosen = {"month": month, "affiliate": affiliate}
    options = {name: value for name, value in chosen.items() if value is not None} | {
        "unfinished": unfinished,
        "allow_unknown": allow_unknown,
        "despite_failed_checks": despite_failed_checks,
    }
    _run(lambda: ShellStatementsRun(options, account))


def _run(make: Callable[[], ShellRun]) -> None:
    from refersion_dagster.interrupts import end_children, end_on_interrupt, run_until_termination

    # Modules that start threads are imported only after interrupts are handled.
    run = make()
    with end_on_interrupt(run.cancel):
        try:
            code = run_until_termination(run.carry_out, run.cancel)
        finally:
            end_children()
    raise SystemExit(code)

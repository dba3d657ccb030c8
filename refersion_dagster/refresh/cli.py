"""`refersion-dagster refresh` and `refersion-dagster statements`"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from refersion_dagster.refresh.run import FromShell


@click.command()
def refresh() -> None:
    """Bring everything up to date: the job refersion_refresh, from a shell.

    It is the same run as in Dagster: it reads what is new or may have changed, rebuilds the summaries, runs every check
    and writes the published copies and the report. Dagster's web page shows it where both have the same DAGSTER_HOME
    (without one, .dagster of this folder).

    \b
    The exit code is
      0    everything is up to date, and no check failed; warnings do not count
      1    the run or a check failed, or a setting keeps it from starting
      130  it was stopped by Ctrl-C (143: by SIGTERM)
    """
    from refersion_dagster.refresh.run import FromShell

    _run(FromShell)


@click.command()
@click.option("--month", metavar="YYYY-MM", help="Without it, the last month that was over when Refersion was read.")
@click.option("--affiliate", metavar="ID", help="Of one affiliate alone, into a folder of their own.")
@click.option("--unfinished", is_flag=True, help="Allow a month that is not over; the statements say so.")
@click.option("--allow-unknown", is_flag=True, help="Allow a month that is not known in full; the statements say so.")
@click.option("--despite-failed-checks", is_flag=True, help="Although a blocking check of what they read failed.")
def statements(
    month: str | None, affiliate: str | None, unfinished: bool, allow_unknown: bool, despite_failed_checks: bool
) -> None:
    """Make the statements of a month: the job refersion_statements, from a shell.

    Nothing is asked of Refersion. The exit code is 0 where they are made, and 1 where they are refused, with the
    reason.
    """
    from refersion_dagster.refresh.run import StatementsFromShell

    chosen = {"month": month, "affiliate": affiliate}
    options = {name: value for name, value in chosen.items() if value is not None} | {
        "unfinished": unfinished,
        "allow_unknown": allow_unknown,
        "despite_failed_checks": despite_failed_checks,
    }
    _run(lambda: StatementsFromShell(options))


def _run(make: Callable[[], FromShell]) -> None:
    from refersion_dagster.interrupts import end_children, ended_by_interrupt, ended_by_termination

    # What starts threads is imported only once interrupts are waited for.
    run = make()
    with ended_by_interrupt(run.cancel):
        try:
            code = ended_by_termination(run.carry_out, run.cancel)
        finally:
            end_children()
    raise SystemExit(code)

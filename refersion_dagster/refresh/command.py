"""`refersion-dagster refresh`"""

from __future__ import annotations

import click


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
    from refersion_dagster.interrupts import end_children, ended_by_interrupt, ended_by_termination
    from refersion_dagster.refresh.running import Refresh

    # What starts threads is imported only once interrupts are waited for.
    run = Refresh()
    with ended_by_interrupt(run.cancel):
        try:
            code = ended_by_termination(run.carry_out, run.cancel)
        finally:
            end_children()
    raise SystemExit(code)

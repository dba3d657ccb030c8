"""`refersion-dagster demo`: runs the main job on a local sandbox and prints the commissions."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg
from rich.console import Console
from rich.table import Table

from refersion_dagster.demo.environment import KEPT, LOG, clear, run_in_sandbox
from refersion_dagster.demo.live import LiveOptions, keep_moving
from refersion_dagster.dev import dagster_dev, require_free_port
from refersion_dagster.interrupts import end_on_interrupt
from refersion_dagster.terminal import figure_tables, make_console, name_with_id, total_of

if TYPE_CHECKING:
    from refersion_dagster.refresh.summary import RunOutcome

# Number of affiliates shown for each currency.
TOP = 8

SALES = """
SELECT currency, affiliate_id, affiliate_name, orders, sales, commission_pending, commission_due, commission_paid
FROM refersion_summaries.commission_by_affiliate JOIN refersion_summaries.currencies USING (currency)
ORDER BY place, sales DESC, affiliate_id
"""
OWED = """
SELECT
  currency, sum(due), sum(due_0_30_days), sum(due_31_60_days), sum(due_61_90_days), sum(due_over_90_days),
  sum(credits_not_set_off), sum(pending), sum(accrued)
FROM refersion_summaries.commission_liability JOIN refersion_summaries.currencies USING (currency)
GROUP BY currency, place
ORDER BY place
"""
AGES = ("due now", "  0-30 days", "  31-60 days", "  61-90 days", "  over 90 days", "  credits", "pending", "accrued")


def run_demo(folder: Path, watch: LiveOptions | None = None, destination: str = "duckdb") -> int:
    """Runs the job and prints the results. Returns the exit code.

    Args:
        watch: run Dagster's web server afterwards until it is stopped; raises PortTaken before anything else happens.
        destination: kind of database; it is created in the folder, or is the user's own and must not have our tables.
    """
    console = make_console()
    began = time.monotonic()
    if watch:
        require_free_port(watch.port)
    folder = folder.resolve()
    clear(folder)
    console.print("Starting [bold]a local Refersion[/bold]: a generated account with two years of orders.")
    with ExitStack() as stack:
        with end_on_interrupt(lambda: console.print("Interrupted before the demo was complete.")):
            sandbox = stack.enter_context(run_in_sandbox(folder, destination))
            if refused := _refused(destination):
                console.print(refused, markup=False, highlight=False)
                return 1
            happened = _materialise(console)
        if not happened.succeeded:
            from refersion_dagster.component.accounts import usual_account
            from refersion_dagster.refresh.summary import show_summary

            show_summary(console, happened, usual_account(), time.monotonic() - began)
            return 1
        where = _show(console, happened)
        console.print(f"\nDone in {time.monotonic() - began:.0f} s. The database is [bold]{where}[/bold].")
        from refersion_dagster.report.daily_files import LATEST

        # Not wrapped, so that the path can be copied.
        console.print(f"The report (open it in a browser): [bold]{folder / 'reports' / LATEST}[/bold]", soft_wrap=True)
        if watch:
            with keep_moving(sandbox, folder, watch, console):
                return dagster_dev(watch.port, folder, watch.environment(), folder / LOG, end_runs=True)
    command = "refersion-dagster" if shutil.which("refersion-dagster") else os.path.relpath(sys.argv[0])
    console.print(
        f"Next: [bold]{command} demo --ui[/bold] shows it in Dagster with simulated days. For your own account, "
        "put the keys into .env (REFERSION_PUBLIC_KEY, REFERSION_SECRET_KEY, REFERSION_GRAPHQL_TOKEN), then "
        f"[bold]{command} dev[/bold]."
    )
    return 0


def _refused(destination: str) -> str | None:
    """Returns why the demo must not write to the user's database; None if it may, or creates its own."""
    if destination not in KEPT:
        return None
    from refersion_dagster.refersion.environment import DATASET
    from refersion_dagster.resources import SUMMARIES, Warehouse
    from refersion_dagster.settings import load_settings
    from refersion_dagster.warehouse.errors import WarehouseError

    warehouse = Warehouse.of(load_settings().warehouse)
    try:
        with warehouse.session(read_only=True) as session:
            found = [schema for schema in (DATASET, SUMMARIES) if session.tables(schema)]
    except WarehouseError as error:
        return f"The demo did not start. {error}"
    if not found:
        return None
    return (
        f"The demo did not start, and nothing was changed: {warehouse.location} already has tables in "
        f"{' and '.join(found)}, which may be those of a real account. Name an empty database. If they are of an "
        f"earlier demo, you can remove them: DROP SCHEMA IF EXISTS {DATASET}, {DATASET}_staging, {SUMMARIES} CASCADE"
    )


def _show(console: Console, happened: RunOutcome) -> str:
    """Prints the results. Returns the location of the tables."""
    from refersion_dagster.refresh.summary import show_checks

    # Imported late: these modules start threads, which would receive an interrupt before ended_by_interrupt blocks it.
    from refersion_dagster.report.commissions.proof import Coverage
    from refersion_dagster.report.commissions.queries import queries
    from refersion_dagster.resources import Warehouse
    from refersion_dagster.settings import load_settings

    warehouse = Warehouse.of(load_settings().warehouse)
    with warehouse.session(read_only=True) as session:
        sales, owed = session.query(SALES), session.query(OWED)
        coverage = [Coverage(*row) for row in session.query(queries()["proof_coverage"].select)]
    console.print("\n[bold]Who drove the sales?[/bold]")
    for table in _sales(sales, console.width):
        console.print(table)
    console.print("[bold]What do we owe?[/bold]")
    for table in _build_tables(owed, console.width):
        console.print(table)
    console.print("[bold]Is it correct?[/bold]")
    show_checks(console, happened.checks)
    for of in coverage:
        console.print(f"  {of}.", markup=False)
    return warehouse.location


def _materialise(console: Console) -> RunOutcome:
    from refersion_dagster.component.accounts import usual_account
    from refersion_dagster.refresh.run import execute
    from refersion_dagster.refresh.summary import read_outcome

    run_id = str(uuid4())
    with dg.DagsterInstance.get() as instance:
        execute(console, instance, run_id, usual_account())
        return read_outcome(instance, run_id)


def _sales(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Table]:
    """Returns a table per currency with the top affiliates by sales and the total of all."""
    for currency in dict.fromkeys(row[0] for row in rows):
        of_currency = [row for row in rows if row[0] == currency]
        names = Counter(name for _, _, name, *_ in of_currency)
        lines = [
            (name if names[name] == 1 and name else name_with_id(name or "(no name)", id_), figures)
            for _, id_, name, *figures in of_currency[:TOP]
        ]
        figures = [row[3:] for row in of_currency]
        if rest := figures[TOP:]:
            lines.append((f"{len(rest)} more", total_of(rest)))
        lines.append(("all", total_of(figures)))
        columns = ("affiliate", "orders", "sales", "pending", "due", "paid")
        yield from figure_tables(f"Commission by affiliate, {currency}", columns, lines, width, total=True)


def _build_tables(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Table]:
    """Returns tables with a column per currency: due by days since approval, pending, and accrued commission."""
    lines = [(name, [row[at] for row in rows]) for at, name in enumerate(AGES, 1)]
    yield from figure_tables("Commission due, by days since approval", ("", *(row[0] for row in rows)), lines, width)

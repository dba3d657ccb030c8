"""`refersion-dagster demo`: the main job on a local sandbox, from nothing to a table of commissions."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from refersion_dagster.dev import dagster_dev, take_no_port_in_use
from refersion_dagster.report.dated import LATEST
from refersion_dagster.sandboxed import DATABASE, LOG, clear, sandboxed
from refersion_dagster.terminal import figure_tables, total_of, with_id
from refersion_dagster.watching import Watched, watched

if TYPE_CHECKING:
    from refersion_dagster.report.commissions.proof import Coverage

# Shown of each currency.
TOP = 8

SALES = """
SELECT currency, affiliate_id, affiliate_name, orders, sales, commission_pending, commission_due, commission_paid
FROM refersion_summaries.commission_by_affiliate
ORDER BY currency, sales DESC, affiliate_id
"""
OWED = """
SELECT currency, sum(due), sum(due_0_30), sum(due_31_60), sum(due_61_90), sum(due_over_90), sum(pending), sum(accrued)
FROM refersion_summaries.commission_liability
GROUP BY currency
ORDER BY currency
"""


def run_demo(folder: Path, watch: Watched | None = None) -> int:
    """Runs the job and prints what came out; returns the exit code.

    Args:
        watch: go on into Dagster's web page, until it is stopped. Raises PortTaken before anything else is done.
    """
    console = Console()
    began = time.monotonic()
    if watch:
        take_no_port_in_use(watch.port)
    folder = folder.resolve()
    clear(folder)
    console.print("[bold]A local Refersion[/bold] starts: a made-up account with two years of orders.")
    with ExitStack() as stack:
        with ended_by_interrupt(lambda: console.print("Stopped before everything was there.")):
            sandbox = stack.enter_context(sandboxed(folder))
            result = _materialise(console)
        if not result.success:
            console.print("[red]The job failed; see above.[/red]")
            return 1
        _show(console, folder / DATABASE, result)
        console.print(f"\nDone in {time.monotonic() - began:.0f} s. The database is [bold]{folder / DATABASE}[/bold].")
        # In one line however long it is, so that it can be copied.
        console.print(f"The report, for your browser: [bold]{folder / 'reports' / LATEST}[/bold]", soft_wrap=True)
        if watch:
            with watched(sandbox, folder, watch, console):
                return dagster_dev(watch.port, folder, watch.environment(), folder / LOG, end_runs=True)
    console.print(
        "Next: [bold]refersion-dagster demo --ui[/bold] shows it in Dagster, at work; for your own account put its "
        "keys into .env (REFERSION_PUBLIC_KEY, REFERSION_SECRET_KEY, REFERSION_GRAPHQL_TOKEN), then "
        "[bold]refersion-dagster dev[/bold]."
    )
    return 0


@contextmanager
def ended_by_interrupt(say: Callable[[], None]) -> Iterator[None]:
    """Meanwhile Ctrl-C ends this process at once, with exit code 130; the next demo clears what is left.

    Dagster takes an interrupt for a step that failed, and goes on with those that do not depend on it.

    Args:
        say: last words.
    """
    interrupt, done = {signal.SIGINT}, threading.Event()

    def wait() -> None:
        signal.sigwait(interrupt)
        if not done.is_set():
            say()
            os._exit(130)

    # Blocked in this thread and in those and the processes that it starts, so that it comes to nobody but the waiter.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, interrupt)
    waiter = threading.Thread(target=wait, name="interrupt")
    waiter.start()
    try:
        yield
    finally:
        done.set()
        assert waiter.ident  # noqa: S101 - it was started
        signal.pthread_kill(waiter.ident, signal.SIGINT)
        waiter.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _show(console: Console, database: Path, result: dg.ExecuteInProcessResult) -> None:
    import duckdb

    # Not sooner: what they bring starts threads, to which an interrupt would come before ended_by_interrupt blocks it.
    from refersion_dagster.report.commissions.proof import Coverage
    from refersion_dagster.report.commissions.queries import queries

    with duckdb.connect(str(database), read_only=True) as connection:
        sales, owed = connection.execute(SALES).fetchall(), connection.execute(OWED).fetchall()
        coverage = [Coverage(*row) for row in connection.execute(queries()["proof_coverage"].select).fetchall()]
    console.print("\n[bold]Who drove the sales?[/bold]")
    for table in _sales(sales, console.width):
        console.print(table)
    console.print("[bold]What do we owe?[/bold]")
    for table in _owed(owed, console.width):
        console.print(table)
    console.print("[bold]Is it right?[/bold]")
    for line in _checks(result.get_asset_check_evaluations(), coverage):
        console.print(line)


def _materialise(console: Console) -> dg.ExecuteInProcessResult:
    # Resources look at the environment when the code location is loaded, so not before it is set.
    from refersion_dagster.definitions import defs

    def lines(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("demo", logging.INFO)
        logger.addHandler(_Lines(console))
        return logger

    told = dg.Definitions(loggers={"lines": dg.LoggerDefinition(lines, description="What happens, a line each.")})
    job = dg.Definitions.merge(defs, told).resolve_job_def("refersion_refresh")
    with dg.DagsterInstance.get() as instance:
        return job.execute_in_process(instance=instance, raise_on_error=False, run_config={"loggers": {"lines": {}}})


class _Lines(logging.Handler):
    """Prints what the run logs, and each table when it is there."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        text = escape(str(getattr(record, "dagster_meta", {}).get("orig_message") or record.getMessage()))
        if record.levelno >= logging.WARNING:
            self.console.print(f"  [yellow]![/yellow] {text}")
        elif not text.startswith("Reading "):
            self.console.print(f"  [green]✓[/green] {text}")


def _sales(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Table]:
    """Of each currency the affiliates that sold most, and the sum of all."""
    for currency in dict.fromkeys(row[0] for row in rows):
        of_currency = [row for row in rows if row[0] == currency]
        names = Counter(name for _, _, name, *_ in of_currency)
        lines = [
            (name if names[name] == 1 and name else with_id(name or "(no name)", id_), figures)
            for _, id_, name, *figures in of_currency[:TOP]
        ]
        figures = [row[3:] for row in of_currency]
        if rest := figures[TOP:]:
            lines.append((f"{len(rest)} more", total_of(rest)))
        lines.append(("all", total_of(figures)))
        columns = ("affiliate", "orders", "sales", "pending", "due", "paid")
        yield from figure_tables(f"Commission by affiliate, {currency}", columns, lines, width, total=True)


def _owed(rows: Sequence[Sequence[Any]], width: int) -> Iterator[Table]:
    """One line a currency: what is due by days since approval, what is pending, and what is likely to become due."""
    names = ("", "due now", "0-30 days", "31-60", "61-90", "over 90", "pending", "accrued")
    lines = [(currency, figures) for currency, *figures in rows]
    yield from figure_tables("Commission due, by days since approval", names, lines, width)


def _checks(evaluations: Sequence[dg.AssetCheckEvaluation], coverage: Sequence[Coverage]) -> Iterator[str]:
    """A line for each kind of check, one for each that did not pass, and last what is proven by what."""
    counts = Counter(found.check_name for found in evaluations if found.passed)
    for name, count in sorted(counts.items()):
        on = [found.asset_key.to_user_string() for found in evaluations if found.check_name == name and found.passed]
        yield f"  [green]✓[/green] {name}: {on[0] if count == 1 else f'{count} tables'}"
    for found in evaluations:
        if not found.passed:
            sign = "[yellow]![/yellow]" if found.severity == dg.AssetCheckSeverity.WARN else "[red]✗[/red]"
            what = escape(" ".join((found.description or "").split()))
            yield f"  {sign} {found.check_name} of {found.asset_key.to_user_string()}: {what}"
    for of in coverage:
        yield f"  {escape(str(of))};"
    yield f"  checks: {sum(counts.values())} of {len(evaluations)} checks passed."

"""`refersion-dagster demo`: the main job on a local sandbox, from nothing to a table of commissions."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from refersion_dagster.report.dated import LATEST
from refersion_dagster.sandbox import SandboxServer

DATABASE = "refersion.duckdb"
# Shown of each currency.
TOP = 8

SALES = """
SELECT currency, affiliate_name, orders, sales, commission_pending, commission_due, commission_paid
FROM refersion_summaries.commission_by_affiliate
ORDER BY currency, sales DESC, affiliate_id
"""
OWED = """
SELECT currency, sum(due), sum(due_0_30), sum(due_31_60), sum(due_61_90), sum(due_over_90), sum(pending), sum(accrued)
FROM refersion_summaries.commission_liability
GROUP BY currency
ORDER BY currency
"""


def demo_environment(sandbox: SandboxServer, folder: Path) -> dict[str, str]:
    """What points the code location and Dagster at the sandbox and the demo's folder, and keeps telemetry off."""
    return {
        **sandbox.environment(),
        "REFERSION_DUCKDB_PATH": str(folder / DATABASE),
        "REFERSION_PUBLISH_PATH": str(folder / "published"),
        "REFERSION_REPORT_PATH": str(folder / "reports"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


@contextmanager
def only_these_settings(settings: Mapping[str, str]) -> Iterator[None]:
    """The environment with these variables and no REFERSION_ variable of the user's own."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("REFERSION_", "SOURCES__", "DESTINATION__"))]:
        del os.environ[name]
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def make_folder(folder: Path) -> Path:
    """The demo's folder, without what an earlier demo left in it."""
    folder = folder.resolve()
    for left in (folder / "dagster", folder / f"{DATABASE}.wal", folder / DATABASE):
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)
    (folder / "dagster").mkdir(parents=True)
    (folder / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return folder


def run_demo(folder: Path) -> int:
    """Runs the job and prints what came out; returns the exit code."""
    console = Console()
    began = time.monotonic()
    folder = make_folder(folder)
    console.print("[bold]A local Refersion[/bold] starts: a made-up account with two years of orders.")
    with SandboxServer() as sandbox, only_these_settings(demo_environment(sandbox, folder)):
        result = _materialise(console)
        if not result.success:
            console.print("[red]The job failed; see above.[/red]")
            return 1
    import duckdb

    with duckdb.connect(str(folder / DATABASE), read_only=True) as connection:
        sales, owed = connection.execute(SALES).fetchall(), connection.execute(OWED).fetchall()
    console.print("\n[bold]Who drove the sales?[/bold]")
    for table in _sales(sales):
        console.print(table)
    console.print("[bold]What do we owe?[/bold]")
    console.print(_owed(owed))
    console.print("[bold]Is it right?[/bold]")
    for line in _checks(result.get_asset_check_evaluations()):
        console.print(line)
    console.print(f"\nDone in {time.monotonic() - began:.0f} s. The database is [bold]{folder / DATABASE}[/bold].")
    # In one line however long it is, so that it can be copied.
    console.print(f"The report, for your browser: [bold]{folder / 'reports' / LATEST}[/bold]", soft_wrap=True)
    console.print(
        "Next: [bold]make dev SANDBOX=1[/bold] shows it in Dagster; for your own account put its keys into .env "
        "(see .env.example), then [bold]make dev[/bold]."
    )
    return 0


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


def _sales(rows: Sequence[Sequence[Any]]) -> Iterator[Table]:
    """One table a currency: the affiliates that sold most, and the sum of all."""
    for currency in dict.fromkeys(row[0] for row in rows):
        of_currency = [row[1:] for row in rows if row[0] == currency]
        lines = [(escape(name or "(no name)"), *map(_figure, figures)) for name, *figures in of_currency[:TOP]]
        if rest := of_currency[TOP:]:
            lines.append((f"{len(rest)} more", *_sums(rest)))
        lines.append(("all", *_sums(of_currency)))
        names = ("affiliate", "orders", "sales", "pending", "due", "paid")
        table = _table(f"Commission by affiliate, {currency}", names, lines)
        table.add_section()
        table.add_row(*lines[-1], style="bold")
        yield table


def _owed(rows: Sequence[Sequence[Any]]) -> Table:
    """One line a currency: what is due by days since approval, what is pending, and what is likely to become due."""
    lines = [(currency, *map(_figure, figures)) for currency, *figures in rows]
    names = ("", "due now", "0-30 days", "31-60", "61-90", "over 90", "pending", "accrued")
    return _table("Commission due, by days since approval", names, [*lines, ()])


def _table(title: str, names: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """A table of the lines but the last. On a narrow screen names give way to figures."""
    table = Table(title=title, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD)
    table.add_column(names[0], no_wrap=True, max_width=22)
    for at, name in enumerate(names[1:], start=1):
        width = max(len(name), *(len(line[at]) for line in lines if line))
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    for line in lines[:-1]:
        table.add_row(*line)
    return table


def _checks(evaluations: Sequence[dg.AssetCheckEvaluation]) -> Iterator[str]:
    """A line for each kind of check, and one for each that did not pass."""
    counts = Counter(found.check_name for found in evaluations if found.passed)
    for name, count in sorted(counts.items()):
        on = [found.asset_key.to_user_string() for found in evaluations if found.check_name == name and found.passed]
        yield f"  [green]✓[/green] {name}: {on[0] if count == 1 else f'{count} tables'}"
    for found in evaluations:
        if not found.passed:
            sign = "[yellow]![/yellow]" if found.severity == dg.AssetCheckSeverity.WARN else "[red]✗[/red]"
            what = escape(" ".join((found.description or "").split()))
            yield f"  {sign} {found.check_name} of {found.asset_key.to_user_string()}: {what}"
    yield f"  {sum(counts.values())} of {len(evaluations)} checks passed."


def _sums(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The sum of each column but the first, which is a name."""
    return [_figure(sum(column)) for column in list(zip(*rows, strict=True))[1:]]


def _figure(value: Decimal | int | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"

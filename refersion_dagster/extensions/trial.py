"""`refersion-dagster check-sql`: tries own summaries and checks, and prints the results."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from refersion_dagster.checks.extensions import load_own_checks
from refersion_dagster.code_location import build_definitions
from refersion_dagster.errors import ReportedError
from refersion_dagster.extensions.demo_data import load_demo_data
from refersion_dagster.extensions.evaluation import SqlResult, evaluate_checks, evaluate_summaries
from refersion_dagster.refresh.run import JOB
from refersion_dagster.settings import ExtensionSettings, Settings
from refersion_dagster.summaries.extensions import find_extensions, join_summaries
from refersion_dagster.terminal import Sign, make_console, number_of, print_signed
from refersion_dagster.warehouse.dialects.dialect import DUCKDB
from refersion_dagster.warehouse.registry import DIALECTS

# Dialects other than DuckDB's, in which the SQL is executed.
TRANSLATED = tuple(dict.fromkeys(dialect for dialect in DIALECTS.values() if dialect != DUCKDB))
# Maximum width of the table, and its width where the output is not a terminal.
WIDTH = 120


def try_files(settings: Settings, needed: Collection[str], folder: Path) -> int:
    """Tries the own files of an account. Returns the exit code.

    Args:
        folder: an empty folder for the database.
        needed: names of the dialects to which every file has to be translatable.

    Raises ClickException for files that are not valid.
    """
    began = time.monotonic()
    console = make_console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    try:
        extensions = find_extensions(settings)
        every = join_summaries(extensions.summaries)
        checks = load_own_checks(extensions.checks, every)
        # The graph as Dagster loads it, with DuckDB, in which everything runs.
        names = ExtensionSettings.variables().values()
        own = Settings.of({name: settings.variables[name] for name in names if name in settings.variables})
        build_definitions(own).resolve_job_def(JOB)
    except ReportedError as error:
        raise click.ClickException(str(error)) from None
    if not extensions.paths:
        raise click.ClickException(
            "There is nothing to try: set REFERSION_SUMMARIES_PATH or REFERSION_CHECKS_PATH to a folder of SQL files. "
            "refersion-dagster new-summary writes the first one."
        )
    own_names = {f"summaries/{one.name}" for one in every if one.file.path in extensions.paths}
    console.print(
        f"Trying {number_of(len(own_names), 'summary', 'summaries')} and {number_of(len(checks), 'check', 'checks')} "
        "on the sandbox's account, in a temporary database.",
        soft_wrap=True,
    )
    with load_demo_data(folder) as warehouse, warehouse.session() as session:
        built = [*evaluate_summaries(session, every, TRANSLATED)]
        results = [one for one in built if one.name in own_names or one.errors]
        results += evaluate_checks(session, checks, TRANSLATED)
    failed = show_results(console, results, needed)
    took = f"{time.monotonic() - began:.0f} s"
    if failed:
        console.print(Text(f"{number_of(failed, 'file', 'files')} failed, in {took}.", "bold red"))
        return 1
    console.print(Text(f"All passed, in {took}.", "bold green"))
    return 0


def show_results(console: Console, results: Sequence[SqlResult], needed: Collection[str]) -> int:
    """Prints a table of the results and the reasons. Returns the number of files that failed."""
    table = Table(box=box.SIMPLE_HEAD, width=min(console.width, WIDTH))
    table.add_column("file", overflow="fold")
    table.add_column("rows", justify="right")
    for name in (DUCKDB.name, *(dialect.name for dialect in TRANSLATED)):
        table.add_column(name, justify="center", no_wrap=True)
    for result in results:
        signs = [Sign.BAD if result.errors else Sign.GOOD, *(_find_sign(result, one.name) for one in TRANSLATED)]
        rows = "" if result.rows is None else f"{result.rows:,}"
        cells = [Text(*sign.on(console)) for sign in signs]
        table.add_row(escape(result.name), rows, *cells)
    if results:
        console.print(table)
    for result in results:
        _show_reasons(console, result, needed)
    return sum(bool(result.errors or set(needed) & result.refusals.keys()) for result in results)


def _find_sign(result: SqlResult, dialect: str) -> Sign:
    if dialect in result.refusals:
        return Sign.BAD
    return Sign.DOUBT if dialect in result.unproven else Sign.GOOD


def _show_reasons(console: Console, result: SqlResult, needed: Collection[str]) -> None:
    for error in result.errors:
        print_signed(console, Sign.BAD, _shorten(error))
    if result.rows and result.name.startswith("checks/"):
        rows = number_of(result.rows, "row", "rows")
        print_signed(console, Sign.DOUBT, f"{result.name} finds {rows} in the demo data, which is generated.")
    for dialect, reason in result.refusals.items():
        sign = Sign.BAD if dialect in needed else Sign.DOUBT
        print_signed(console, sign, f"{dialect}: {_shorten(reason)}")
    for dialect, constructs in result.unproven.items():
        text = f"{result.name} uses {', '.join(constructs)}, which no test has executed; compare the figures yourself."
        print_signed(console, Sign.DOUBT, f"{dialect}: {text}")


def _shorten(text: str) -> str:
    """Returns a message with paths relative to the working directory."""
    return text.replace(f"{Path.cwd()}{os.sep}", "")

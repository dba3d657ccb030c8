"""`refersion-dagster new-summary` and `refersion-dagster check-sql`"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

DIALECT_NAMES = ("postgres", "bigquery", "databricks", "snowflake", "redshift")
ALL = "all"


@click.command("new-summary")
@click.argument("name")
@click.option("--check", is_flag=True, help="Write a check of it, too, into REFERSION_CHECKS_PATH.")
def new_summary(name: str, check: bool) -> None:
    """Write a summary of your own, as a valid file to begin with.

    The file NAME.sql is written into REFERSION_SUMMARIES_PATH. NAME becomes the name of the table.
    """
    from refersion_dagster.errors import ReportedError
    from refersion_dagster.extensions.templates import create_files
    from refersion_dagster.settings import load_settings

    try:
        for path in create_files(load_settings(), name, check):
            click.echo(f"Created {path}")
    except ReportedError as error:
        raise click.ClickException(str(error)) from None
    click.echo("Edit it, then run refersion-dagster check-sql.")


@click.command("check-sql")
@click.option(
    "--dialect",
    "dialects",
    multiple=True,
    type=click.Choice((*DIALECT_NAMES, ALL)),
    help="A dialect in which the SQL has to be proven. May be repeated. Default: the dialect of your warehouse.",
)
def check_sql(dialects: tuple[str, ...]) -> None:
    """Try your own summaries and checks, without an account and without your warehouse.

    Loads the sandbox's account into a temporary DuckDB database, builds all summaries there, compares their sums with
    the raw rows, runs your checks, and translates your SQL to every dialect.

    \b
    Exit codes:
      0    every file passed
      1    a file is invalid or failed, or has no proven translation to a required dialect
      130  interrupted by Ctrl-C
    """
    from refersion_dagster.interrupts import end_children, end_on_interrupt

    with tempfile.TemporaryDirectory(prefix="refersion_") as folder, end_on_interrupt(lambda: _stop(folder)):
        # Modules that start threads are imported only after interrupts are handled.
        from refersion_dagster.extensions.trial import try_files
        from refersion_dagster.settings import load_settings
        from refersion_dagster.warehouse.registry import find_dialect

        try:
            settings = load_settings()
            needed = dialects or (find_dialect(settings.warehouse).name,)
            code = try_files(settings, DIALECT_NAMES if ALL in needed else needed, Path(folder))
        finally:
            end_children()
    raise SystemExit(code)


def _stop(folder: str) -> None:
    click.echo("Interrupted.", err=True)
    shutil.rmtree(folder, ignore_errors=True)

"""The command `refersion-dagster`."""

from __future__ import annotations

from pathlib import Path

import click

from refersion_dagster.actions.cli import actions
from refersion_dagster.assistant.cli import mcp
from refersion_dagster.doctor.cli import doctor
from refersion_dagster.explore.cli import explore
from refersion_dagster.extensions.cli import check_sql, new_summary
from refersion_dagster.refresh.cli import refresh, statements
from refersion_dagster.sandbox.server.cli import sandbox
from refersion_dagster.settings import InvalidSetting, load_settings
from refersion_dagster.settings.selection import account_option
from refersion_dagster.webhooks.cli import webhooks

DEMO_FOLDER = Path(".demo")
DAY_SECONDS = 86_400
EXAMPLE = Path(__file__).with_name("env.example")

port_option = click.option(
    "--port", default=3000, show_default=True, type=click.IntRange(1, 65_535), help="Port of Dagster's web page."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="refersion-dagster")
def main() -> None:
    """Refersion in your warehouse: who drove the sales, and what is owed.

    Settings are read from the environment and from .env of this folder. If both set a variable, the environment
    takes precedence.
    """
    try:
        load_settings()
    except InvalidSetting as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEMO_FOLDER,
    show_default=True,
    help="Folder for the demo's database and Dagster's records. Files of an earlier demo are replaced.",
)
@click.option(
    "--destination",
    type=click.Choice(["duckdb", "postgres", "ducklake"]),
    default="duckdb",
    show_default=True,
    help="The kind of database. duckdb and ducklake are made in the folder; postgres is your own, as "
    "DESTINATION__POSTGRES__CREDENTIALS names it, without tables of this package. Requires the extra of that name.",
)
@click.option("--ui", is_flag=True, help="Then start Dagster's web page and let simulated days pass; in duckdb only.")
@port_option
@click.option(
    "--day-every",
    default=60.0,
    show_default=True,
    type=click.FloatRange(1, DAY_SECONDS),
    help="Seconds per simulated day, with --ui.",
)
def demo(folder: Path, destination: str, ui: bool, port: int, day_every: float) -> None:
    """Run the main job on a local sandbox, without an account, and show what was earned and what is owed."""
    if ui and destination != "duckdb":
        raise click.UsageError("--ui is for --destination duckdb, whose file several processes share.")
    from refersion_dagster.demo.live import LiveOptions
    from refersion_dagster.demo.run import run_demo

    raise SystemExit(run_demo(folder, LiveOptions(port, day_every) if ui else None, destination))


@main.command()
@click.option(
    "--sandbox", "on_sandbox", is_flag=True, help="Use the sandbox and the demo's database instead of your account."
)
@port_option
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEMO_FOLDER,
    show_default=True,
    help="The demo's folder, with --sandbox.",
)
def dev(on_sandbox: bool, port: int, folder: Path) -> None:
    """Start Dagster on your account or on the sandbox."""
    from refersion_dagster.dev import run_dev

    raise SystemExit(run_dev(port, folder if on_sandbox else None))


@main.command("code-server")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4000, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
def code_server(host: str, port: int) -> None:
    """Serve the code location to Dagster's web page and daemon over gRPC, and execute runs.

    Runs of a code server that was killed are recorded as failed, so that they do not block others. There must be only
    one code server of the code location refersion_dagster at a time. Anyone who can connect to the port can launch
    runs, so open it only to Dagster.
    """
    from refersion_dagster.automation.code_server import serve_code

    raise SystemExit(serve_code(host, port))


@main.command("accept-account")
@account_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def accept_account(account: str | None, yes: bool) -> None:
    """Record that the configured keys belong to the account whose rows are in the warehouse.

    A load is refused if its keys show none of the warehouse's rows, because rows of two accounts could not be
    separated again. New keys of the same account are recognised automatically as long as any of these rows exist.
    """
    from refersion_dagster.actions.cli import resources_of_account
    from refersion_dagster.refersion.environment import DATASET
    from refersion_dagster.refersion.errors import InvalidCredentials
    from refersion_dagster.refersion.identity import remember_account
    from refersion_dagster.warehouse.errors import WarehouseError

    warehouse, refersion = resources_of_account(account)
    keys = refersion.account().credentials
    if not (keys.public_key or keys.graphql_token):
        raise click.ClickException("No keys are set: set REFERSION_PUBLIC_KEY or REFERSION_GRAPHQL_TOKEN.")
    try:
        keys.check()
    except InvalidCredentials as error:
        raise click.ClickException(str(error)) from None
    try:
        click.echo(f"The warehouse is {warehouse.location}.")
        if not yes:
            click.confirm("Do these keys belong to the account whose rows are in this warehouse?", abort=True)
        with warehouse.write_lock(click.echo), warehouse.session() as session:
            session.create_schema(DATASET)
            remember_account([keys.public_key, keys.graphql_token], session.query)
    except WarehouseError as error:
        raise click.ClickException(str(error)) from None
    click.echo("Accepted. The next run will load.")


@main.command("env-example")
def env_example() -> None:
    """Print an example of .env: refersion-dagster env-example > .env"""
    click.echo(EXAMPLE.read_text("utf-8"), nl=False)


main.add_command(actions)
main.add_command(check_sql)
main.add_command(doctor)
main.add_command(explore)
main.add_command(mcp)
main.add_command(new_summary)
main.add_command(refresh)
main.add_command(sandbox)
main.add_command(statements)
main.add_command(webhooks)

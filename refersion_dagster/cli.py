"""The command `refersion-dagster`."""

from __future__ import annotations

from pathlib import Path

import click

from refersion_dagster.actions.command import actions
from refersion_dagster.doctor.command import doctor
from refersion_dagster.explore.command import explore
from refersion_dagster.sandbox.command import sandbox
from refersion_dagster.webhooks.command import webhooks

DEMO_FOLDER = Path(".demo")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="refersion-dagster")
def main() -> None:
    """Refersion in your warehouse: who drove the sales, and what is owed."""


@main.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEMO_FOLDER,
    show_default=True,
    help="Where the demo's database and Dagster's records go; what an earlier demo left there is replaced.",
)
def demo(folder: Path) -> None:
    """Run the main job on a local sandbox, without an account, and show what is earned and owed."""
    from refersion_dagster.demo import run_demo

    raise SystemExit(run_demo(folder))


@main.command()
@click.option("--sandbox", "on_sandbox", is_flag=True, help="On the sandbox and the demo's database, not your account.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65_535), help="Of the web page.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEMO_FOLDER,
    show_default=True,
    help="The demo's folder, for --sandbox.",
)
def dev(on_sandbox: bool, port: int, folder: Path) -> None:
    """Open Dagster on your account, or on the sandbox."""
    from refersion_dagster.dev import run_dev

    raise SystemExit(run_dev(port, folder if on_sandbox else None))


main.add_command(actions)
main.add_command(doctor)
main.add_command(explore)
main.add_command(sandbox)
main.add_command(webhooks)

"""`refersion-dagster explore` opens the notebook over the published copies in the browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click

from refersion_dagster.errors import ReportedError
from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.settings.selection import account_option

NOTEBOOK = Path(__file__).with_name("notebook.py")


@click.command()
@account_option
@click.option(
    "--edit",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Copy the notebook to this file, such as explore.py, if it does not exist yet, and open it for editing.",
)
@click.option("--port", default=2719, show_default=True, type=click.IntRange(1, 65_535), help="Port of the web page.")
@click.option("--headless", is_flag=True, help="Do not open a browser.")
def explore(account: str | None, edit: Path | None, port: int, headless: bool) -> None:
    """Open the published copies in a notebook: top affiliates, what is owed, who keeps selling."""
    # Not at the top: it imports dlt, whose threads would receive Ctrl-C in the place of a refresh.
    from refersion_dagster.explore.published import published_folder

    if not is_installed("marimo"):
        raise click.ClickException(f"The notebook needs marimo. Install it with: {install_command('explore')}")
    try:
        published_folder(account=account)
    except ReportedError as error:
        raise click.ClickException(str(error)) from None
    if edit is not None and not edit.exists():
        try:
            shutil.copyfile(NOTEBOOK, edit)
        except OSError as error:
            raise click.ClickException(f"{edit} could not be written: {error.strerror}.") from None
    command = ["edit", str(edit)] if edit else ["run", str(NOTEBOOK)]
    options = ["--port", str(port), *(["--headless"] if headless else [])]
    # Arguments of the notebook.
    options += ["--", "--account", account] if account else []
    try:
        # The marimo of this Python environment, not another one on the PATH.
        ended = subprocess.run([sys.executable, "-m", "marimo", *command, *options], check=False)  # noqa: S603
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(ended.returncode)

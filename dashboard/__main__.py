"""`python -m dashboard` builds the pages over the published copies and opens them."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from dashboard.build import PROJECT, build_site, install_packages
from dashboard.figures import read_figures
from refersion_dagster.assistant.copies import CopiesReader
from refersion_dagster.errors import ReportedError
from refersion_dagster.explore.published import published_folder
from refersion_dagster.settings import AlertSettings, InvalidSetting, OutputSettings, load_settings
from refersion_dagster.warehouse.sql_file import SqlFileError


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=PROJECT / "dist",
    help="Folder of the pages, which is replaced. Default: dashboard/dist.",
)
@click.option("--headless", is_flag=True, help="Do not open a browser.")
def dashboard(output: Path, headless: bool) -> None:
    """Build five pages over the published copies in REFERSION_PUBLISH_PATH, and open them."""
    settings = load_settings()
    try:
        settings.check([OutputSettings.variable("publish_path"), AlertSettings.variable("late_hours")])
        copies = CopiesReader(published_folder(settings.outputs)).read()
        install_packages()
        page = build_site(read_figures(copies, settings.alerts.late_hours), output)
    except (ReportedError, InvalidSetting, SqlFileError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The dashboard, with data as of {copies.as_of or 'no reading'}: {page}")
    if not headless:
        webbrowser.open(page.absolute().as_uri())


if __name__ == "__main__":
    dashboard()

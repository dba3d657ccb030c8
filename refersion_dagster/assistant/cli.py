"""`refersion-dagster mcp`"""

from __future__ import annotations

import logging
import secrets

import click

from refersion_dagster.errors import ReportedError
from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.settings import AlertSettings, InvalidSetting, OutputSettings, Settings
from refersion_dagster.settings.selection import account_option, select_settings

EXTRA = "mcp"
TOKEN_VARIABLE = OutputSettings.variable("assistant_token")
MIN_TOKEN_CHARACTERS = 20
STOP_SECONDS = 5


@click.command()
@account_option
@click.option(
    "--http", "over_http", is_flag=True, help="Serve HTTP on this computer instead of standard input and output."
)
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port with --http; 0 uses a free port.",
)
def mcp(account: str | None, over_http: bool, port: int) -> None:
    """Answer questions of an AI assistant from the published copies, read-only (Model Context Protocol).

    An assistant starts this command and talks to it over standard input and output. With --http it listens on 127.0.0.1
    and needs the token in REFERSION_ASSISTANT_TOKEN; without one, a token is generated and printed.
    """
    if not is_installed("mcp"):
        raise click.ClickException(f"The assistant needs mcp. Install it with: {install_command(EXTRA)}")
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("refersion_dagster.assistant").setLevel(logging.INFO)
    settings = select_settings(account)
    try:
        settings.check([TOKEN_VARIABLE, OutputSettings.variable("publish_path"), AlertSettings.variable("late_hours")])
    except InvalidSetting as error:
        raise click.ClickException(str(error)) from None
    # Before the imports below, because a wrong token needs none of them.
    token = _token(settings) if over_http else None
    # Not at the top: they import Dagster, dlt and the summaries, which takes seconds.
    from refersion_dagster.assistant.copies import CopiesReader
    from refersion_dagster.assistant.server import build_server
    from refersion_dagster.explore.published import published_folder
    from refersion_dagster.summaries.extensions import find_extensions, join_summaries
    from refersion_dagster.warehouse.sql_file import SqlFileError

    try:
        summaries = join_summaries(find_extensions(settings).summaries)
        reader = CopiesReader(published_folder(settings.outputs), summaries)
    except (ReportedError, InvalidSetting, SqlFileError) as error:
        raise click.ClickException(str(error)) from None
    server = build_server(reader, settings.alerts.late_hours)
    try:
        if token is not None:
            import uvicorn

            from refersion_dagster.assistant.http import HOST, PATH, build_http_app
            from refersion_dagster.webhooks.listener import open_listener

            listener = open_listener(HOST, port)
            port = listener.getsockname()[1]
            click.echo(f"Answering assistants at http://{HOST}:{port}{PATH}. Ctrl-C stops it.", err=True)
            config = uvicorn.Config(
                build_http_app(server, token, port),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
            uvicorn.Server(config).run(sockets=[listener])
        else:
            server.run("stdio")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _token(settings: Settings) -> str:
    """Returns the token that requests need; a generated one is printed once."""
    given = settings.outputs.assistant_token
    if given is None:
        token = secrets.token_urlsafe(32)
        click.echo(f"{settings.variable(TOKEN_VARIABLE)} is not set. Token until this command ends: {token}", err=True)
        return token
    if len(token := given.get_secret_value()) < MIN_TOKEN_CHARACTERS or not token.isascii():
        variable = settings.variable(TOKEN_VARIABLE)
        raise click.ClickException(
            f"{variable} must have at least {MIN_TOKEN_CHARACTERS} characters, all ASCII. For example: "
            'python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return token

"""`refersion-dagster webhooks`"""

from __future__ import annotations

import logging
from pathlib import Path

import click
import uvicorn
from click.core import ParameterSource

from refersion_dagster.settings import InvalidSetting, WebhookSettings
from refersion_dagster.settings.selection import account_option, select_settings
from refersion_dagster.webhooks.app import HEALTH_PATH, MAX_BODY_BYTES, PATH, RECEIVE_SECONDS, ReceiverLimits, build_app
from refersion_dagster.webhooks.inbox import Inbox
from refersion_dagster.webhooks.inbox_file import InboxError
from refersion_dagster.webhooks.listener import open_listener
from refersion_dagster.webhooks.refusals import Refusals
from refersion_dagster.webhooks.signature import secrets_of

SECRET_VARIABLE = WebhookSettings.variable("webhook_secret")
MEGABYTE = 1_000_000
MAX_HEAD_BYTES = 32_000
MAX_CONNECTIONS = 1_000
KEEP_ALIVE_SECONDS = 75
STOP_SECONDS = 10


@click.command()
@account_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8500,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 uses a free port.",
)
@click.option(
    "--inbox",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=WebhookSettings.default("webhook_inbox"),
    envvar=WebhookSettings.variable("webhook_inbox"),
    show_default=True,
    show_envvar=True,
    help="File in which events wait; created if it does not exist. Dagster needs the same path.",
)
@click.option(
    "--inbox-megabytes",
    default=1_000,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum size of the inbox; events that do not fit are rejected with 503.",
)
@click.option(
    "--event-megabytes",
    default=MAX_BODY_BYTES / MEGABYTE,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Maximum size of an event; larger events are rejected.",
)
@click.option(
    "--receive-seconds",
    default=RECEIVE_SECONDS,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Maximum time for the body of an event to arrive.",
)
def webhooks(
    account: str | None,
    host: str,
    port: int,
    path: Path,
    inbox_megabytes: int,
    event_megabytes: float,
    receive_seconds: float,
) -> None:
    """Receive Refersion's webhooks until Ctrl-C, and store each event until Dagster has loaded it.

    Events have to be signed with the secret in REFERSION_WEBHOOK_SECRET. To rotate the secret, set several, separated
    by commas.

    It belongs behind a proxy with HTTPS that also ends requests whose head never arrives; deploy/nginx.conf is one.
    """
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    # Its warnings are about connections without HTTP or beyond the limit, with which anyone could fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    settings = select_settings(account)
    if account and click.get_current_context().get_parameter_source("path") is not ParameterSource.COMMANDLINE:
        path = Path(settings.webhooks.webhook_inbox)
    try:
        settings.check([SECRET_VARIABLE])
    except InvalidSetting as error:
        raise click.ClickException(str(error)) from None
    secret = settings.webhooks.webhook_secret
    secrets = secrets_of(secret.get_secret_value() if secret else None)
    if not secrets:
        raise click.ClickException(
            f"{settings.variable(SECRET_VARIABLE)} is not set, so forged events could not be detected. Set it to "
            "the signing secret that Refersion shows under Account > Settings > Webhooks."
        )
    try:
        inbox = Inbox(path, create=True, max_bytes=inbox_megabytes * MEGABYTE)
    except InboxError as error:
        raise click.ClickException(str(error)) from error
    listener = open_listener(host, port)
    limits = ReceiverLimits(body_bytes=int(event_megabytes * MEGABYTE), receive_seconds=receive_seconds)
    config = uvicorn.Config(
        build_app(inbox, secrets, Refusals(), limits),
        http="h11",  # this implementation limits the head of a request
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    address = f"[{host}]" if ":" in host else host
    click.echo(
        f"Receiving webhooks at http://{address}:{listener.getsockname()[1]}{PATH} (state: {HEALTH_PATH}), "
        f"into {inbox.path}. Ctrl-C stops it."
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("Stopped. All acknowledged events are in the inbox.")

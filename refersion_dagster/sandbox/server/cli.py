"""`refersion-dagster sandbox`, and `python -m refersion_dagster.sandbox`."""

import errno
import gc
import shlex
import signal
import threading
from datetime import UTC, datetime

import click

from refersion_dagster.sandbox.clock import from_iso
from refersion_dagster.sandbox.server.server import LOOPBACK, SandboxServer
from refersion_dagster.sandbox.settings import SandboxSettings

_DEFAULTS = SandboxSettings()


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8400,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 uses a free port.",
)
@click.option(
    "--seed",
    default=_DEFAULTS.seed,
    show_default=True,
    help="Seed of the generated account; the same seed and sizes give the same account.",
)
@click.option(
    "--affiliates",
    default=_DEFAULTS.affiliates,
    show_default=True,
    type=click.IntRange(0),
    help="Number of affiliates.",
)
@click.option("--orders", default=_DEFAULTS.orders, show_default=True, type=click.IntRange(0), help="Number of orders.")
@click.option(
    "--days", default=_DEFAULTS.days, show_default=True, type=click.IntRange(1), help="Number of days of history."
)
@click.option(
    "--currencies",
    default=",".join(_DEFAULTS.currencies),
    show_default=True,
    help="Currencies, separated by commas; the first is the account's own.",
)
@click.option(
    "--now",
    default=_DEFAULTS.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    show_default=True,
    help="Time of the sandbox's clock: an ISO time, or `real` for this machine's time at start.",
)
def sandbox(
    host: str, port: int, seed: int, affiliates: int, orders: int, days: int, currencies: str, now: str
) -> None:
    """Run a local Refersion until Ctrl-C, and print the settings that connect to it."""
    settings = SandboxSettings(
        seed=seed,
        affiliates=affiliates,
        orders=orders,
        days=days,
        now=_moment(now),
        currencies=_codes(currencies),
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        server = SandboxServer(settings, host=host, port=port)
    except OSError as error:
        raise click.ClickException(_advice(error, host, port)) from error
    # The history holds no garbage, and scanning 100,000 orders for some delays a page by half a second.
    gc.freeze()
    with server:
        for name, value in server.environment().items():
            click.echo(f"export {name}={shlex.quote(value)}")
        click.echo(f"# A local Refersion at {server.url}, its clock at {server.clock()['now']}. Ctrl-C stops it.")
        click.echo(f"# Move the clock on: curl -X POST {server.url}/_sandbox/clock -d '{{\"advance_days\": 1}}'")
        stop.wait()


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(code.strip().upper() for code in text.split(",") if code.strip())
    if not codes:
        raise click.BadParameter("at least one currency is needed, e.g. USD,EUR", param_hint="--currencies")
    return codes


def _moment(text: str) -> datetime:
    if text == "real":
        return datetime.now(UTC).replace(microsecond=0)
    try:
        return datetime.fromtimestamp(from_iso(text), UTC)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is not an ISO time, e.g. 2026-07-01T00:00:00Z", param_hint="--now"
        ) from error


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use. Stop the other process, or use another --port (0 uses a free port)."
    return f"cannot listen on {host}, port {port}: {error.strerror or error}."

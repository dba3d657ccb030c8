"""Opens the socket of a server that a command runs."""

from __future__ import annotations

import errno
import socket

import click


def open_listener(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on the port; 0 is a free one. Raises ClickException, which says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With protocol 0, asyncio does not set TCP_NODELAY, and each response waits 40 ms for a delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            advice = "is in use. Stop the other process, or use another --port (0 uses a free port)."
        else:
            advice = f"cannot be opened for listening: {error.strerror or error}."
        raise click.ClickException(f"Port {port} on {host} {advice}") from error
    return listener

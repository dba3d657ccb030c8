"""The chain of causes of an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Attributes in which dlt keeps the cause of a failed load, and Google's client the error that ended its retries.
KEPT_IN = ("client_exception", "dbapi_exception", "cause")


# Errors of these libraries are about the connection.
HTTP_LIBRARIES = ("requests", "urllib3")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that it was raised from, each once, nearest first."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        kept = [getattr(one, name, None) for name in KEPT_IN]
        waiting += [one.__cause__, *kept, *one.args[:1], one.__context__]

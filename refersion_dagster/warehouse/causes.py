"""What an error was raised from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Where dlt keeps what a load failed of, and Google's client what it gave up over.
KEPT_IN = ("client_exception", "dbapi_exception", "cause")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was raised from, each once, the nearest first."""
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

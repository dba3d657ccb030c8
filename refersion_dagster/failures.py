"""Converts errors for Dagster: what assets, checks and ops raise becomes a Failure with the same text."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import dagster as dg

from refersion_dagster.errors import ReportedError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def report_errors(compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Wraps the function of an asset, check or op, so that a ReportedError ends the step as dg.Failure.

    A retry policy applies only to errors that may be temporary.
    """
    if inspect.isgeneratorfunction(compute):

        @functools.wraps(compute)
        def events(*args: Any, **kwargs: Any) -> Any:
            with _convert_errors():
                yield from compute(*args, **kwargs)

        return events

    @functools.wraps(compute)
    def result(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _convert_errors():
            return compute(*args, **kwargs)

    return result


@contextmanager
def _convert_errors() -> Iterator[None]:
    try:
        yield
    except ReportedError as error:
        raise dg.Failure(str(error), allow_retries=error.may_pass) from error

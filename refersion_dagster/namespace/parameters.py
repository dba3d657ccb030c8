"""Renames parameters of functions: Dagster takes the key of a resource from the parameter that it is handed over in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, get_type_hints

import dagster as dg

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def rename_parameters(
    compute: Callable[Arguments, Result],
    names: Mapping[str, str],
    describe: Callable[[str], str],
    check: Callable[[str, Any], None],
) -> Callable[Arguments, Result]:
    """Returns the function with other names for some of its parameters.

    Args:
        names: new names by present ones; those of other functions have no effect.
        describe: applied to the message of a dg.Failure.
        check: called with each given parameter's present name and value before the function is called.
    """
    present = {new: name for name, new in names.items()}
    called: Any = compute

    def rename(given: Mapping[str, Any]) -> Any:
        renamed = {present.get(name, name): value for name, value in given.items()}
        for name, value in renamed.items():
            check(name, value)
        return renamed

    @contextmanager
    def described() -> Iterator[None]:
        try:
            yield
        except dg.Failure as error:
            error.description = describe(error.description or "")
            raise

    def result(*args: Any, **given: Any) -> Any:
        with described():
            return called(*args, **rename(given))

    def events(*args: Any, **given: Any) -> Any:
        with described():
            yield from called(*args, **rename(given))

    wrapper: Any = functools.wraps(compute)(events if inspect.isgeneratorfunction(compute) else result)
    # Types, because Dagster would look for the names of types among the imports of this module.
    kinds = get_type_hints(compute, include_extras=True)
    signature = inspect.signature(compute)
    wrapper.__signature__ = signature.replace(
        parameters=[
            one.replace(name=names.get(name, name), annotation=kinds.get(name, one.annotation))
            for name, one in signature.parameters.items()
        ],
        return_annotation=kinds.get("return", signature.return_annotation),
    )
    wrapper.__annotations__ = {names.get(name, name): kind for name, kind in kinds.items()}
    return wrapper

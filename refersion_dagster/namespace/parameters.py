"""Renames parameters of functions: Dagster takes the key of a resource from the parameter that it is handed over in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def rename_parameters(compute: Callable[Arguments, Result], names: Mapping[str, str]) -> Callable[Arguments, Result]:
    """Returns the function with other names for some of its parameters.

    Args:
        names: new names by present ones; those of other functions have no effect.
    """
    present = {new: name for name, new in names.items()}

    def result(*args: Any, **given: Any) -> Any:
        return compute(*args, **{present.get(name, name): value for name, value in given.items()})

    def events(*args: Any, **given: Any) -> Any:
        yield from result(*args, **given)

    wrapper: Any = functools.wraps(compute)(events if inspect.isgeneratorfunction(compute) else result)
    signature = inspect.signature(compute)
    parameters = [one.replace(name=names.get(name, name)) for name, one in signature.parameters.items()]
    wrapper.__signature__ = signature.replace(parameters=parameters)
    wrapper.__annotations__ = {names.get(name, name): kind for name, kind in compute.__annotations__.items()}
    return wrapper

"""Whether an extra of this package is installed, and how to install it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec

PACKAGE = "refersion-dagster"


def is_installed(module: str) -> bool:
    """Whether a module can be imported. Does not import it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package
        return False


def install_command(extra: str) -> str:
    """The command that installs an extra's packages.

    They are named one by one, because this package is in no index: `pip` may not find it by its name.
    """
    return " ".join(["pip install", *map(shlex.quote, _list_requirements(extra))])


def _list_requirements(extra: str) -> Iterator[str]:
    from packaging.requirements import Requirement

    for text in metadata.requires(PACKAGE) or ():
        needed = Requirement(text)
        if needed.marker and needed.marker.evaluate({"extra": extra}) and not needed.marker.evaluate({"extra": ""}):
            needed.marker = None
            yield str(needed)

"""Reads `.env` of the working directory, and the environment as it was before Dagster loaded that file into it.

Dagster's commands let `.env` override the environment before they load the code location. Only the operating system
still has the original values: it keeps the environment that each process was started with.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from io import StringIO
from pathlib import Path

from refersion_dagster.settings.values import InvalidSetting

# Prefixes of programs that let .env override the environment, or are started by such a program.
DAGSTER_PROGRAMS = ("dagster", "refersion-dagster", "from multiprocessing")
OPTIONS_WITH_VALUE = ("-X", "-W")


def read_env_file(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns the values of a file and its invalid lines. Raises InvalidSetting if it cannot be read."""
    from dotenv import dotenv_values

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, ()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidSetting(f"{path} cannot be read: {why}.") from None
    complaints: list[str] = []
    handler = _WarningCollector(complaints)
    logger = logging.getLogger("dotenv.main")
    logger.addHandler(handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        found = dotenv_values(stream=StringIO(text))
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
    # A name without "=" is not a setting.
    complaints += [f"{name} has no value" for name, value in found.items() if value is None]
    return {name: value for name, value in found.items() if value is not None}, tuple(complaints)


class _WarningCollector(logging.Handler):
    """Collects python-dotenv's warnings about lines that it cannot parse."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        self.complaints.append(record.getMessage().removeprefix("python-dotenv ").replace("could not parse s", "s"))


@cache
def read_start_environment() -> Mapping[str, str]:
    """Returns the environment in which the topmost Dagster process above this one was started."""
    import psutil

    process = psutil.Process()
    found = dict(os.environ)
    try:
        found = process.environ()
        while (parent := process.parent()) is not None and _is_of_dagster(parent.cmdline()):
            process, found = parent, parent.environ()
    except (psutil.Error, OSError):  # a parent has ended or belongs to another user: use what was found so far
        pass
    return found


def _is_of_dagster(words: list[str]) -> bool:
    return _program(words).startswith(DAGSTER_PROGRAMS)


def _program(words: list[str]) -> str:
    """Returns what a command line runs: a program, or Python's script, module or code."""
    if not words or not Path(words[0]).name.startswith("python"):
        return Path(words[0]).name if words else ""
    rest = words[1:]
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
        rest = rest[2 if rest[0] in OPTIONS_WITH_VALUE else 1 :]
    if len(rest) > 1 and rest[0] in ("-m", "-c"):
        return rest[1]
    return Path(rest[0]).name if rest else ""

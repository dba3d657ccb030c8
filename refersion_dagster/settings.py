"""Where settings come from: the environment, then `.env` of the working directory, then defaults.

Every process calls `load_settings` before it looks at a variable: the commands, the plain pipeline, the code location.
Afterwards `os.environ` holds what counts, so everything else reads it there.

Dagster's own commands put `.env` over the environment before they load the code location. What the environment said
before is then known only to the system, which keeps what each process was started with.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from pathlib import Path

ENV_FILE = ".env"
ENVIRONMENT = "environment"
ALLOW_WRITES = "REFERSION_ALLOW_WRITES"
# Dagster has acted on its own variables by the time the code location is loaded.
DAGSTER = "DAGSTER_"
# How the names of programs begin that put .env over the environment, or are started by such.
DAGSTER_PROGRAMS = ("dagster", "refersion-dagster", "from multiprocessing")
OPTIONS_WITH_VALUE = ("-X", "-W")
WORDS = {"true": True, "false": False}
# How examples write what everybody has to fill in: pub_…, sec_..., <your token>, your_token.
TEMPLATE = re.compile(r"…|\.{3}|<[^>]*>|\byour[-_ ]|//user:password@host\b", re.IGNORECASE)


class InvalidSetting(ValueError):
    """A setting that cannot be read; names its variable and what it may be."""


@dataclass(frozen=True)
class Settings:
    """The settings of this process.

    Args:
        file: what .env says.
        path: that file.
        sources: where each variable of .env and each REFERSION_ variable comes from: "environment" or the file.
        overruled: variables of .env of which the environment says something else.
        unreadable: descriptions of lines of .env that are not settings.
    """

    file: Mapping[str, str] = field(repr=False)
    path: Path
    sources: Mapping[str, str]
    overruled: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


_is_read = True


@contextmanager
def env_file_ignored() -> Iterator[None]:
    """Meanwhile `.env` counts for nothing in this process, so that a demonstration meets no settings of the user's."""
    global _is_read
    before, _is_read = _is_read, False
    try:
        yield
    finally:
        _is_read = before


def load_settings() -> Settings:
    """Puts the effective values into the environment and returns their origin. Raises InvalidSetting."""
    path = Path(ENV_FILE).absolute()
    file, unreadable = read_env_file(path) if _is_read else ({}, ())
    return settle(os.environ, file, path, unreadable)


def read_env_file(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """What a file says, and which of its lines say nothing. Raises InvalidSetting for one that cannot be read."""
    from dotenv import dotenv_values

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, ()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidSetting(f"{path} cannot be read: {why}.") from None
    complaints: list[str] = []
    handler = _Collecting(complaints)
    logger = logging.getLogger("dotenv.main")
    logger.addHandler(handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        found = dotenv_values(stream=StringIO(text))
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
    # A name without "=" is not a setting either.
    complaints += [f"{name} has no value" for name, value in found.items() if value is None]
    return {name: value for name, value in found.items() if value is not None}, tuple(complaints)


class _Collecting(logging.Handler):
    """Keeps what python-dotenv says of lines that it cannot read."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        self.complaints.append(record.getMessage().removeprefix("python-dotenv ").replace("could not parse s", "s"))


def settle(
    environment: MutableMapping[str, str], file: Mapping[str, str], path: Path, unreadable: tuple[str, ...] = ()
) -> Settings:
    """Completes an environment by what a file says, where the environment itself says nothing."""
    sources, overruled = {}, []
    for name, value in file.items():
        if name.startswith(DAGSTER):
            environment.setdefault(name, value)
            continue
        given = environment.get(name)
        if given == value and environment is os.environ:
            # Either said by both, or put there by Dagster.
            given = started_with().get(name)
        if given is None:
            environment[name], sources[name] = value, str(path)
        else:
            environment[name], sources[name] = given, ENVIRONMENT
            if given != value:
                overruled.append(name)
    for name in environment:
        if name.startswith("REFERSION_"):
            sources.setdefault(name, ENVIRONMENT)
    return Settings(file, path, dict(sorted(sources.items())), tuple(overruled), unreadable)


@cache
def started_with() -> Mapping[str, str]:
    """The environment that the first Dagster process of this chain of processes was started with."""
    import psutil

    process = psutil.Process()
    found = dict(os.environ)
    try:
        found = process.environ()
        while (parent := process.parent()) is not None and _is_of_dagster(parent.cmdline()):
            process, found = parent, parent.environ()
    except (psutil.Error, OSError):  # a parent that ended, or is another user's: what is known so far counts
        pass
    return found


def _is_of_dagster(words: list[str]) -> bool:
    return _program(words).startswith(DAGSTER_PROGRAMS)


def _program(words: list[str]) -> str:
    """What a command line runs: a program, or the script, module or code that Python is given."""
    if not words or not Path(words[0]).name.startswith("python"):
        return Path(words[0]).name if words else ""
    rest = words[1:]
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
        rest = rest[2 if rest[0] in OPTIONS_WITH_VALUE else 1 :]
    if len(rest) > 1 and rest[0] in ("-m", "-c"):
        return rest[1]
    return Path(rest[0]).name if rest else ""


def is_template(value: str) -> bool:
    """Whether a secret is what an example has in its place."""
    return bool(TEMPLATE.search(value))


def said_of_templates(names: Sequence[str]) -> str:
    """That these settings were copied from an example, in a sentence."""
    what, it = ("is a placeholder", "it") if len(names) == 1 else ("are placeholders", "each")
    return f"{' and '.join(names)} {what} from an example: replace {it} with your own."


def switch(name: str, value: str | None) -> bool:
    """A setting that is on or off, and off where it is not set. Raises InvalidSetting."""
    word = (value or "false").strip().lower() or "false"
    if word not in WORDS:
        raise InvalidSetting(f"{name} is {value!r}; it has to be true or false.")
    return WORDS[word]


def whole_number(name: str, value: str, least: int = 0) -> int:
    """A whole number, read as Dagster reads one. Raises InvalidSetting."""
    try:
        number = int(value)
    except ValueError:
        raise InvalidSetting(f"{name} is {value!r}; it has to be a whole number.") from None
    if number < least:
        raise InvalidSetting(f"{name} is {value!r}; it has to be {least} or more.")
    return number


def writes_allowed(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether REFERSION_ALLOW_WRITES is true wherever it is set: in the environment and in `.env` the stricter holds.

    Raises InvalidSetting where any of them is neither true nor false.
    """
    given = [environment.get(ALLOW_WRITES)]
    if environment is os.environ and _is_read:
        file, _ = read_env_file(Path(ENV_FILE).absolute())
        given += [text for text in (file.get(ALLOW_WRITES), started_with().get(ALLOW_WRITES)) if text is not None]
    return all(switch(ALLOW_WRITES, text) for text in given)

"""Loads the settings of a process: the environment, `.env` of the working directory, files with secrets, defaults.

Every process calls `load_settings` first: the commands, the plain pipeline and the code location. Code that needs
settings receives them as arguments. `os.environ` then has the effective values too, for Dagster's EnvVar, dlt and child
processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from refersion_dagster.settings.env_file import read_env_file, read_start_environment
from refersion_dagster.settings.figures import FigureSettings
from refersion_dagster.settings.part import PREFIX, SettingsPart
from refersion_dagster.settings.parts import (
    AccountSettings,
    ActionSettings,
    AlertSettings,
    ExtensionSettings,
    OutputSettings,
    ScheduleSettings,
    SecretFileSettings,
    WarehouseSettings,
    WebhookSettings,
)
from refersion_dagster.settings.secret_files import read_secret_files
from refersion_dagster.settings.values import InvalidSetting

ENV_FILE = ".env"
ENVIRONMENT = "environment"
# Dagster has already used its own variables when it loads the code location.
DAGSTER = "DAGSTER_"
PARTS: Mapping[str, type[SettingsPart]] = {
    "account": AccountSettings,
    "secret_files": SecretFileSettings,
    "warehouse": WarehouseSettings,
    "figures": FigureSettings,
    "schedules": ScheduleSettings,
    "alerts": AlertSettings,
    "webhooks": WebhookSettings,
    "outputs": OutputSettings,
    "extensions": ExtensionSettings,
    "actions": ActionSettings,
}
# All variables; one of them is dlt's.
VARIABLES = frozenset(variable for part in PARTS.values() for variable in part.variables().values())
SECRET_VARIABLES = frozenset(part.variable(field) for part in PARTS.values() for field in part.secrets())
ALLOW_WRITES = ActionSettings.variable("allow_writes")
SECRETS_DIR = SecretFileSettings.variable("secrets_dir")

_is_read = True


@dataclass(frozen=True)
class Settings:
    """One configuration. A process may have several.

    Args:
        variables: variables with a non-empty value, including unknown ones.
        problems: error message by variable; the parts have the default instead.
        file: values in .env.
        path: path of .env.
        sources: source of each variable in a file and of each REFERSION_ variable: "environment" or the file.
        overruled: variables in .env that the environment overrides with another value.
        unreadable: descriptions of lines of .env that are not settings.
        prefix: what the names of variables begin with in the environment and in .env, but not in `variables` and
            `problems`; empty for the usual names.
    """

    account: AccountSettings
    secret_files: SecretFileSettings
    warehouse: WarehouseSettings
    figures: FigureSettings
    schedules: ScheduleSettings
    alerts: AlertSettings
    webhooks: WebhookSettings
    outputs: OutputSettings
    extensions: ExtensionSettings
    actions: ActionSettings
    variables: Mapping[str, str] = field(repr=False)
    problems: Mapping[str, str]
    file: Mapping[str, str] = field(default_factory=dict, repr=False)
    path: Path = Path(ENV_FILE)
    sources: Mapping[str, str] = field(default_factory=dict)
    overruled: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    prefix: str = ""

    @classmethod
    def of(cls, variables: Mapping[str, str] | None = None, prefix: str = "") -> Settings:
        """Returns the settings from these variables, or from this process's environment if None.

        An empty value counts as not set. No file or other source is read.

        Args:
            prefix: what the names of this project's variables begin with before REFERSION_.
        """
        given = os.environ if variables is None else variables
        if prefix:
            theirs = {name: value for name, value in given.items() if name in VARIABLES and not name.startswith(PREFIX)}
            own = {name: value for name, value in given.items() if name.startswith(f"{prefix}{PREFIX}")}
            given = {**theirs, **{name.removeprefix(prefix): value for name, value in own.items()}}
        ours = {name: value for name, value in given.items() if name.startswith(PREFIX) or name in VARIABLES}
        named = {name: value for name, value in ours.items() if value}
        problems: dict[str, str] = {}
        parts: dict[str, Any] = {}
        for name, part in PARTS.items():
            parts[name], wrong = part.valid(named)
            # Each message begins with its variable.
            problems |= {variable: f"{prefix}{said}" for variable, said in wrong.items()}
        return cls(**parts, variables=named, problems=problems, prefix=prefix)

    def variable(self, usual: str) -> str:
        """Returns the name that a variable of this project has in these settings."""
        return f"{self.prefix}{usual}" if usual.startswith(PREFIX) else usual

    def problem(self, variables: Iterable[str] = VARIABLES) -> str | None:
        """Returns the errors of these variables, one per line; None if there are none."""
        named = set(variables)
        return "\n".join(said for variable, said in self.problems.items() if variable in named) or None

    def check(self, variables: Iterable[str] = VARIABLES) -> None:
        """Raises InvalidSetting with all errors of these variables, if there are any."""
        if wrong := self.problem(variables):
            raise InvalidSetting(wrong)


@contextmanager
def env_file_ignored() -> Iterator[None]:
    """Ignores `.env` in this process inside the `with`, so that the demo does not use the user's settings."""
    global _is_read
    before, _is_read = _is_read, False
    try:
        yield
    finally:
        _is_read = before


def load_settings(prefix: str = "", defaults: Mapping[str, str] | None = None) -> Settings:
    """Loads the settings of this process into its environment.

    Raises InvalidSetting for an unreadable .env, and for unreadable files with secrets.

    An invalid value is recorded in `problems`; code that needs the value calls `check`.

    Args:
        prefix: the account's; see Settings.
        defaults: values of variables, by their usual names, that are set nowhere else.
    """
    path = Path(ENV_FILE).absolute()
    file, unreadable = read_env_file(path) if _is_read else ({}, ())
    return settle(os.environ, file, path, unreadable, prefix, defaults or {})


def settle(
    environment: MutableMapping[str, str],
    file: Mapping[str, str],
    path: Path,
    unreadable: tuple[str, ...] = (),
    prefix: str = "",
    defaults: Mapping[str, str] = MappingProxyType({}),
) -> Settings:
    """Adds the values of `.env`, then of files with secrets, to an environment that does not have them.

    Writes are allowed only if REFERSION_ALLOW_WRITES is true wherever it is set. With a prefix, that variable has to be
    true under its prefixed name, and must not forbid writes under its usual name.
    """
    sources, overruled = {}, []
    for name, value in file.items():
        if name.startswith(DAGSTER):
            environment.setdefault(name, value)
            continue
        given = _value_without_file(environment, name, value)
        if given is None:
            environment[name], sources[name] = value, str(path)
        else:
            environment[name], sources[name] = given, ENVIRONMENT
            if given != value:
                overruled.append(name)
    secrets = _read_secrets(environment, prefix, defaults)
    for name, (value, place) in secrets.items():
        if name not in file and _value_without_file(environment, name, value) is None:
            environment[name], sources[name] = value, place
    for name in environment:
        if name.startswith(PREFIX):
            sources.setdefault(name, ENVIRONMENT)
    own = f"{prefix}{ALLOW_WRITES}"
    allowed = [environment.get(own, ""), file.get(own)]
    allowed += [value for name, (value, _) in secrets.items() if name in (own, ALLOW_WRITES)]
    if prefix:
        allowed += [environment.get(ALLOW_WRITES), file.get(ALLOW_WRITES)]
    if allowed[0] and environment is os.environ and _is_read:
        allowed += [read_start_environment().get(name) for name in {own, ALLOW_WRITES}]
    strictest = next((word for word in allowed if word is not None and word.strip().lower() != "true"), "true")
    given = {f"{prefix}{name}": value for name, value in defaults.items()}
    return replace(
        Settings.of({**given, **environment, own: strictest}, prefix),
        file=file,
        path=path,
        sources=dict(sorted(sources.items())),
        overruled=tuple(overruled),
        unreadable=unreadable,
    )


def _value_without_file(environment: Mapping[str, str], name: str, value: str) -> str | None:
    """Returns a variable of an environment to which a file's value may have been added."""
    given = environment.get(name)
    if given == value and environment is os.environ:
        # Either both have this value, or it was loaded from the file, by Dagster or by this package.
        return read_start_environment().get(name)
    return given


def _read_secrets(
    environment: Mapping[str, str], prefix: str, defaults: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Returns the variables in files with secrets, each with its value and its path."""
    variable = f"{prefix}{SECRETS_DIR}"
    named = environment.get(variable) or defaults.get(SECRETS_DIR)
    if not named:
        return {}
    folder = Path(named).expanduser().absolute()
    found = read_secret_files(folder, variable)
    return {name: (value, str(folder / name)) for name, value in found.items() if not name.startswith(DAGSTER)}

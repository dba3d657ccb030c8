"""The account that a command is about: the one of the usual variables, or one of a component of the project."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from refersion_dagster.errors import ReportedError
from refersion_dagster.settings.environment import Settings, load_settings

if TYPE_CHECKING:
    from refersion_dagster.component.accounts import SelectedAccount

Command = TypeVar("Command", bound=Callable[..., Any])


def account_option(command: Command) -> Command:
    """Adds the option `--account` to a command."""
    return click.option(
        "--account",
        metavar="NAME",
        help="An account of a RefersionComponent in the Dagster project of this folder. Default: the account of the "
        "usual variables.",
    )(command)


def select_account(name: str | None) -> SelectedAccount:
    """Returns the account with this name; None means the account of the usual variables.

    Raises ClickException if the project of this folder has no such account, or cannot be loaded.
    """
    # Not at the top: it imports Dagster and dlt, whose threads would receive Ctrl-C in the place of a refresh.
    from refersion_dagster.component.accounts import find_account, usual_account

    if name is None:
        return usual_account()
    try:
        return find_account(name)
    except ReportedError as error:
        raise click.ClickException(str(error)) from None


def select_settings(name: str | None) -> Settings:
    """Returns the settings of an account, as `select_account` does, without importing Dagster for the usual one."""
    return load_settings() if name is None else select_account(name).settings

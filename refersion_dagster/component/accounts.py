"""Finds the account of a component in a Dagster project, for commands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from refersion_dagster.code_location import build_definitions
from refersion_dagster.component.component import RefersionComponent
from refersion_dagster.errors import ReportedError
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.resources import PrefixedRefersionResource, RefersionResource, Warehouse
from refersion_dagster.settings import Settings, load_settings


class UnknownAccount(ReportedError):
    """The project of a folder has no such account, or cannot be loaded. The message says which accounts it has."""


@dataclass(frozen=True)
class SelectedAccount:
    """An account with everything that a command needs of it.

    Args:
        settings: its settings; keys are in them.
        names: its names.
        build: builds its definitions.
        resource: the project's own resource that is its warehouse; None for one made from the settings.
    """

    settings: Settings
    names: Namespace
    build: Callable[[], dg.Definitions]
    resource: Warehouse | None = None

    def warehouse(self) -> Warehouse:
        """Returns its warehouse, with its schemas."""
        if self.resource is not None:
            return self.resource
        return self.names.warehouse_type.of(self.settings.warehouse, **self.names.schemas)

    def refersion(self) -> RefersionResource:
        """Returns the account in Refersion. It contains the keys."""
        kind = PrefixedRefersionResource if self.settings.prefix else RefersionResource
        return kind.of(self.settings.account)


def usual_account() -> SelectedAccount:
    """Returns the account of the shipped code location."""
    settings = load_settings()
    return SelectedAccount(settings, USUAL, lambda: build_definitions(settings))


def find_account(name: str, folder: Path | None = None) -> SelectedAccount:
    """Returns the account of the one component with this name in a Dagster project.

    Args:
        folder: a folder of the project; by default the working directory.

    Raises UnknownAccount, and InvalidSetting for settings that no component can have.
    """
    tree, found_components = load_components(folder or Path.cwd())
    components = {one.account: one for one in found_components}
    if (found := components.get(name)) is None:
        there = f"It has {', '.join(sorted(components))}" if components else "It has no RefersionComponent"
        raise UnknownAccount(f"There is no account {name} in the Dagster project of {folder or Path.cwd()}. {there}.")
    settings = found.load_settings()
    if (key := found.warehouse_resource) is None:
        return SelectedAccount(settings, found.namespace, lambda: found.build_account(settings))
    resource = (tree.build_defs().resources or {}).get(key)
    if not isinstance(resource, Warehouse):
        raise UnknownAccount(
            f"warehouse_resource of {name} is {key}, and the definitions in the project's defs folder have no such "
            "resource that is a refersion_dagster.resources.Warehouse."
        )
    own = dg.Definitions(resources={key: resource})
    # With the values of its environment variables. Outside of a run it holds no lock between two uses.
    with resource.process_config_and_initialize_cm() as initialized:
        pass
    return SelectedAccount(
        settings,
        found.namespace,
        lambda: dg.Definitions.merge(found.build_account(settings), own),
        initialized,
    )


def load_components(folder: Path) -> tuple[dg.ComponentTree, list[RefersionComponent]]:
    """Returns a Dagster project, and its components of this type, from YAML and from Python.

    Raises UnknownAccount if there is no such project, or a component of it is invalid.
    """
    # Where Dagster's own commands find a project that is not installed.
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        tree = dg.ComponentTree.for_project(folder)
        return tree, tree.get_all_components(RefersionComponent)
    except Exception as error:  # any error of the project's own files, of which Dagster has many types
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise UnknownAccount(
            f"The accounts of the Dagster project in {folder} cannot be read: {type(cause).__name__}: {cause}\n"
            "Run this in the folder of the project's pyproject.toml, where `dg check defs` passes."
        ) from error

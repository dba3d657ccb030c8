"""Refersion in your warehouse: a dlt source and a Dagster code location built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refersion_dagster.component.all_accounts import AllAccountsComponent
    from refersion_dagster.component.component import RefersionComponent

__all__ = ["AllAccountsComponent", "RefersionComponent"]


def __getattr__(name: str) -> Any:
    """Imports a component when it is asked for: the dlt source and the sandbox need none of Dagster."""
    if name == "RefersionComponent":
        from refersion_dagster.component.component import RefersionComponent

        return RefersionComponent
    if name == "AllAccountsComponent":
        from refersion_dagster.component.all_accounts import AllAccountsComponent

        return AllAccountsComponent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

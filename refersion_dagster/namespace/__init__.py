"""The names of what one account defines in Dagster and in its warehouse."""

from refersion_dagster.namespace.namespace import USUAL, Namespace

__all__ = ["USUAL", "Namespace"]

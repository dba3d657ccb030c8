"""What can go wrong with the warehouse, as types: each says what happened, where, and what to do next."""

from __future__ import annotations

import dagster as dg


class WarehouseError(dg.Failure):
    """Base class. No load or summary is left incomplete: tables are unchanged.

    A run that ends by one shows these words, and is tried again only where the same run `may_pass` later without
    anybody changing anything.
    """

    may_pass = False

    def __init__(self, what: str) -> None:
        super().__init__(what, allow_retries=self.may_pass)


class WarehouseNotSet(WarehouseError):
    """The setting, the driver or the credentials of the database are missing or make no sense."""


class WarehouseBusy(WarehouseError):
    """Another program went on using the warehouse for longer than this run was to wait.

    The run has waited as long as it may, so its steps are not tried again.
    """


class WarehouseUnreachable(WarehouseError):
    """The database cannot be reached, or the connection to it broke."""

    may_pass = True


class WarehouseForbidden(WarehouseError):
    """The database does not let its user do what is needed."""


class WarehouseFull(WarehouseError):
    """The database, or the machine, has no space or memory left."""


class TableInUse(WarehouseError):
    """A table cannot be replaced by one with other columns, as views stand on it."""

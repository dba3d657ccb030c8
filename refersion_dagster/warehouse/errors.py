"""What can go wrong with the warehouse, as types: each says what happened, where, and what to do next."""

from __future__ import annotations

from refersion_dagster.errors import ReportedError


class WarehouseError(ReportedError):
    """Base class. No load or summary is left incomplete: tables are unchanged."""


class WarehouseNotSet(WarehouseError):
    """The setting, the driver or the credentials of the database are missing or make no sense."""


class KeysNotEnforced(WarehouseError):
    """The database takes two rows of the same key, so it cannot hold what must not happen twice."""


class AppendsOnly(WarehouseError):
    """The destination cannot merge: rows that are read again would be there twice."""


class WarehouseBusy(WarehouseError):
    """Another program went on using the warehouse for longer than this run was to wait.

    The run has waited as long as it may, so its steps are not tried again.
    """


class LeaseLost(WarehouseError):
    """Another run took over the right to write, as its holder was not heard of for too long."""

    may_pass = True


class WarehouseUnreachable(WarehouseError):
    """The database cannot be reached, or the connection to it broke."""

    may_pass = True


class WarehouseForbidden(WarehouseError):
    """The database does not let its user do what is needed."""


class FileTooNew(WarehouseError):
    """A DuckDB file was written by a newer DuckDB than is installed, which cannot read it."""


class WarehouseFull(WarehouseError):
    """The database, or the machine, has no space or memory left."""


class ConcurrentChange(WarehouseError):
    """Another program changed the same tables while this run wrote to them, and its changes hold."""

    may_pass = True


class TableInUse(WarehouseError):
    """A table cannot be replaced by one with other columns, as views stand on it."""

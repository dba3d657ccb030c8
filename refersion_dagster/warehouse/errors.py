"""The warehouse's errors as types: each says what happened, where, and what to do next."""

from __future__ import annotations

from refersion_dagster.errors import ReportedError


class WarehouseError(ReportedError):
    """Base class. No load or summary is left incomplete: tables are unchanged."""


class WarehouseNotSet(WarehouseError):
    """The setting, the driver or the credentials of the database are missing or invalid."""


class KeysNotEnforced(WarehouseError):
    """The database accepts two rows with the same key, so it cannot hold records of what must not happen twice."""


class AppendsOnly(WarehouseError):
    """The destination cannot merge: rows that are read again would be duplicated."""


class WarehouseBusy(WarehouseError):
    """Another program was still using the warehouse when this run's wait time ended.

    The run has waited for the maximum time, so its steps are not retried.
    """


class LeaseLost(WarehouseError):
    """Another run took over the right to write, because the lease was not extended in time."""

    may_pass = True


class WarehouseUnreachable(WarehouseError):
    """The database cannot be reached, or the connection to it broke."""

    may_pass = True


class WarehouseForbidden(WarehouseError):
    """The database user lacks a right that is needed."""


class FileTooNew(WarehouseError):
    """A DuckDB file was written by a newer DuckDB than the installed one, which cannot read it."""


class WarehouseFull(WarehouseError):
    """The database, or the machine, has no space or memory left."""


class ConcurrentChange(WarehouseError):
    """Another program changed the same tables while this run wrote to them, and its changes take precedence."""

    may_pass = True


class TableInUse(WarehouseError):
    """A table cannot be replaced by one with other columns, because views depend on it."""


class ResultIncomplete(WarehouseError):
    """Rows that an engine wrote did not arrive in the folder that it shares with the warehouse's machine."""

    may_pass = True

"""A connection to MotherDuck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.server.catalog import CatalogSession


class MotherDuckSession(CatalogSession):
    """One connection to a MotherDuck database."""

    def __init__(
        self, client: SqlClientBase[Any], convert_error: Callable[[BaseException], WarehouseError | None]
    ) -> None:
        super().__init__(client)
        self._trouble_of = convert_error

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return self._trouble_of(error)

    def may_write(self) -> bool:
        """Whether the token may write to this database."""
        return self.native("SELECT readonly FROM duckdb_databases() WHERE database_name = current_database()") == [
            (False,)
        ]

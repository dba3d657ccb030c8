"""A connection to a DuckLake."""

from __future__ import annotations

from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from refersion_dagster.warehouse.ducklake.errors import convert_lake_error
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.server.catalog import CatalogSession


class LakeSession(CatalogSession):
    """One connection to a lake, in DuckDB's dialect.

    Raises WarehouseError for errors that the statement did not cause: a catalogue or files that cannot be reached, a
    missing right, or a concurrent change.
    """

    def __init__(self, client: SqlClientBase[Any], location: str) -> None:
        super().__init__(client)
        self._location = location

    def convert_error(self, error: BaseException) -> WarehouseError | None:
        return convert_lake_error(error, self._location)

"""A connection to a DuckLake."""

from __future__ import annotations

from typing import Any

from dlt.destinations.sql_client import SqlClientBase

from refersion_dagster.warehouse.ducklake.errors import lake_trouble
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.server.catalog import CatalogSession


class LakeSession(CatalogSession):
    """One connection to a lake, in DuckDB's dialect.

    Raises WarehouseError for what is not the statement's own: a catalogue or files that cannot be reached, a right that
    is missing, a change by somebody else.
    """

    def __init__(self, client: SqlClientBase[Any], location: str) -> None:
        super().__init__(client)
        self._location = location

    def trouble_of(self, error: BaseException) -> WarehouseError | None:
        return lake_trouble(error, self._location)

"""Where tables land: one small interface that everything which reads or writes them goes through.

SQL is written once, in DuckDB's dialect, and transpiled for other databases.
"""

from refersion_dagster.warehouse.errors import (
    TableInUse,
    WarehouseBusy,
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.resource import SUMMARIES, Warehouse
from refersion_dagster.warehouse.session import Session, UndefinedTable, beside

__all__ = [
    "SUMMARIES",
    "Session",
    "TableInUse",
    "UndefinedTable",
    "Warehouse",
    "WarehouseBusy",
    "WarehouseError",
    "WarehouseForbidden",
    "WarehouseFull",
    "WarehouseNotSet",
    "WarehouseUnreachable",
    "beside",
]

"""Where tables land: one small interface that everything which reads or writes them goes through.

SQL is written once, in DuckDB's dialect, and transpiled for other destinations.
"""

from refersion_dagster.warehouse.locks import WarehouseBusy
from refersion_dagster.warehouse.session import Session, UndefinedTable
from refersion_dagster.warehouse.warehouse import SUMMARIES, Warehouse, disk_is_full

__all__ = ["SUMMARIES", "Session", "UndefinedTable", "Warehouse", "WarehouseBusy", "disk_is_full"]

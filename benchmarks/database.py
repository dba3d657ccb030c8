"""The databases of the contenders, and the check that they contain all rows."""

from decimal import Decimal
from pathlib import Path

import duckdb

DATASET = "refersion_data"


def database_path(directory: Path) -> Path:
    """The DuckDB file of a contender that works in `directory`."""
    return directory / "warehouse.duckdb"


def verify(directory: Path, rows: int, commission_total: Decimal) -> None:
    """Raise RuntimeError unless `conversions` holds exactly `rows` ids and the exact total commission."""
    with duckdb.connect(str(database_path(directory)), read_only=True) as connection:
        found = connection.execute(
            "SELECT count(*), count(DISTINCT id), sum(CAST(commission_total AS DECIMAL(18, 4))) "
            f"FROM {DATASET}.conversions"
        ).fetchone()
    if found != (rows, rows, commission_total):
        raise RuntimeError(f"loaded (rows, ids, commission) {found}, expected {(rows, rows, commission_total)}")

"""The check that both sides built the same tables."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import duckdb

from refersion_dagster.resources import SUMMARIES

Sums = dict[str, tuple[Decimal | None, ...]]
"""Number of rows and sum of each amount, by currency; without a column for it under an empty text."""
NUMBERS = ("DECIMAL", "BIGINT", "HUGEINT", "INTEGER")


def compare(ours: Path, theirs: Path, tables: Sequence[str]) -> int:
    """Number of equal figures. Raises RuntimeError naming all tables that differ."""
    different: list[str] = []
    count = 0
    with duckdb.connect(str(ours), read_only=True) as one, duckdb.connect(str(theirs), read_only=True) as other:
        for table in tables:
            columns = _columns(one, table)
            if columns != _columns(other, table):
                different.append(f"{table}: columns {columns} and {_columns(other, table)}")
                continue
            amounts = [name for name, kind in columns.items() if kind.startswith(NUMBERS)]
            found = [_sums(connection, table, amounts, "currency" in columns) for connection in (one, other)]
            if found[0] != found[1]:
                different.append(f"{table} (rows, {', '.join(amounts)} by currency): {found[0]} and {found[1]}")
            count += sum(map(len, found[0].values()))
    if different:
        raise RuntimeError("\n".join([f"{len(different)} tables differ:", *different]))
    return count


def _columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ? AND table_name = ? "
        "ORDER BY ordinal_position",
        [SUMMARIES, table],
    ).fetchall()
    return dict(found)


def _sums(connection: duckdb.DuckDBPyConnection, table: str, amounts: Sequence[str], by_currency: bool) -> Sums:
    currency = "coalesce(currency, '')" if by_currency else "''"
    sums = ", ".join(["count(*)", *(f'sum("{name}")' for name in amounts)])
    found = connection.execute(f"SELECT {currency}, {sums} FROM {SUMMARIES}.{table} GROUP BY ALL").fetchall()
    return {name: tuple(values) for name, *values in found}

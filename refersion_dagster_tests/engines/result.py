"""Results of two engines in comparable form: types as families, values as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb

NUMBER = "number"
FAMILIES = {
    **dict.fromkeys(("BIGINT", "INTEGER", "HUGEINT", "int64"), "integer"),
    **dict.fromkeys(("numeric", "bignumeric", "decimal"), NUMBER),
    **dict.fromkeys(("DOUBLE", "double"), "approximate number"),
    **dict.fromkeys(("VARCHAR", "string"), "text"),
    **dict.fromkeys(("BOOLEAN", "bool"), "boolean"),
    **dict.fromkeys(("DATE", "date"), "date"),
    **dict.fromkeys(("TIMESTAMP", "datetime"), "time of clocks"),
    **dict.fromkeys(("TIMESTAMP WITH TIME ZONE", "timestamp"), "moment"),
}


@dataclass(frozen=True)
class Result:
    """The result of a statement.

    Args:
        columns: names and families of types.
        rows: values as text, numbers without trailing zeros.
    """

    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str | None, ...]]

    @classmethod
    def of_duckdb(cls, connection: duckdb.DuckDBPyConnection, sql: str) -> Result:
        found = connection.sql(sql)
        kinds = ["decimal" if str(kind).startswith("DECIMAL") else str(kind) for kind in found.types]
        columns = [(name, FAMILIES.get(kind, kind)) for name, kind in zip(found.columns, kinds, strict=True)]
        return cls(columns, [tuple(map(comparable, row)) for row in found.fetchall()])

    @classmethod
    def of_engine(cls, answer: dict[str, Any]) -> Result:
        """The result reported by an engine's runner. An approximate number never equals an exact one."""
        columns = [(str(name), FAMILIES.get(kind, str(kind))) for name, kind in answer["columns"]]
        numbers = [family == NUMBER for _, family in columns]
        rows = [
            tuple(
                comparable(Decimal(value)) if number and value is not None else value
                for value, number in zip(row, numbers, strict=True)
            )
            for row in answer["rows"]
        ]
        return cls(columns, rows)

    def difference(self, other: Result, in_order: bool) -> str:
        """The differences as readable text; '' if there are none."""
        if [family for _, family in self.columns] != [family for _, family in other.columns]:
            return f"types: {self.columns} and {other.columns}"
        missing, more = Counter(self.rows) - Counter(other.rows), Counter(other.rows) - Counter(self.rows)
        if missing or more:
            return f"{missing.total()} rows differ, among them {[*missing][:2]} and {[*more][:2]}"
        return "the order of rows differs" if in_order and [*self.rows] != [*other.rows] else ""


def comparable(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        digits = format(value, "f")
        return (digits.rstrip("0").rstrip(".") if "." in digits else digits) if value else "0"
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds")
    return str(value).lower() if isinstance(value, bool) else str(value)

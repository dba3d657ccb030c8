"""Rows of one answer as an Arrow table with the declared columns of its entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from dlt.common.schema.typing import TTableSchemaColumns

from refersion_dagster.refersion.coerce import ARROW_TYPES, TIME_TYPE, read_column
from refersion_dagster.refersion.entities import READ_AT, Column, Entity, Kind
from refersion_dagster.refersion.errors import UnreadableValue
from refersion_dagster.refersion.privacy import Privacy

Row = Mapping[str, Any]

DLT_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.ID: {"data_type": "text"},
    Kind.TEXT: {"data_type": "text"},
    Kind.MONEY: {"data_type": "decimal", "precision": 18, "scale": 4},
    Kind.INTEGER: {"data_type": "bigint"},
    Kind.BOOLEAN: {"data_type": "bool"},
    Kind.TIMESTAMP: {"data_type": "timestamp", "timezone": True, "precision": 6},
    Kind.CUSTOM_FIELDS: {"data_type": "text"},
}


def dlt_columns(entity: Entity) -> TTableSchemaColumns:
    """The entity's columns as dlt hints: names, types, nullability, descriptions."""
    return {
        column.name: {  # pyright: ignore[reportReturnType]
            "name": column.name,
            "nullable": not column.required,
            "description": column.description,
            **DLT_TYPES[column.kind],
        }
        for column in entity.columns
    }


def extra_column(name: str) -> Column:
    """A field beyond our catalogue: kept as text, just as it was sent, and treated as personal when named so."""
    personal = any(part in name.lower() for part in ("customer", "email", "ip_", "_ip", "phone", "address"))
    return Column(name, Kind.TEXT, "Sent by this account beyond the known fields; kept as text.", personal=personal)


class TableBuilder:
    """Turns rows into Arrow tables that all have the same columns, whatever the account offers.

    Args:
        entity: the table.
        read_at: moment of the reading, UTC.
        privacy: what becomes of personal values.
        extras: names of further fields to keep as text.
    """

    def __init__(self, entity: Entity, *, read_at: datetime, privacy: Privacy, extras: Sequence[str] = ()) -> None:
        self.entity = entity
        self.read_at = read_at
        self.privacy = privacy
        known = {column.name for column in entity.columns}
        self.columns = (*entity.columns, *(extra_column(name) for name in extras if name not in known))
        self.schema = pa.schema(
            [pa.field(column.name, ARROW_TYPES[column.kind], nullable=not column.required) for column in self.columns]
        )

    def build(self, rows: Sequence[Row]) -> pa.Table:
        """The rows as a table. Raises UnreadableValue or InexactNumber, see coerce.py."""
        objects: dict[str, list[Any]] = {}
        arrays: dict[str, pa.Array] = {}

        def row_name(i: int) -> str:
            found = [str(rows[i].get(key)) for key in self.entity.primary_key if rows[i].get(key) is not None]
            return " ".join(found) or f"number {i + 1} of its page, which has no id"

        for column in self.columns:
            if column is READ_AT:
                arrays[column.name] = pa.repeat(pa.scalar(self.read_at, TIME_TYPE), len(rows))
            elif column.digest_of:
                digests = self.privacy.digests([row.get(column.digest_of) for row in rows])
                arrays[column.name] = pa.array(digests, pa.string())
            else:
                values = self._values(rows, column, objects, row_name)
                if column.personal:
                    values = self.privacy.apply(values)
                arrays[column.name] = read_column(values, column, self.entity.name, row_name)
        return pa.Table.from_arrays([arrays[name] for name in self.schema.names], schema=self.schema)

    def _values(self, rows: Sequence[Row], column: Column, objects: dict[str, list[Any]], row_name: Any) -> list[Any]:
        first, *rest = column.path
        if not rest or column.evidence.value == "ours":
            return [row.get(column.name) for row in rows]
        if first not in objects:
            objects[first] = found = [row.get(first) for row in rows]
            # PHP writes an empty object as an empty list.
            if set(map(type, found)) - {dict, type(None)}:
                for i, value in enumerate(found):
                    if value and not isinstance(value, dict):
                        raise UnreadableValue(
                            table=self.entity.name, field=first, row=row_name(i), value=value, wanted="an object"
                        )
                objects[first] = [value or None for value in found]
        (field,) = rest
        return [None if value is None else value.get(field) for value in objects[first]]

    def empty(self) -> pa.Table:
        """No rows, all columns: so that the table exists in the warehouse even when there is nothing to load."""
        return self.schema.empty_table()

"""Builds an Arrow table with the declared columns of an entity from the rows of a response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, overload

import pyarrow as pa
from dlt.common.schema.typing import TTableSchemaColumns

from refersion_dagster.refersion.errors import UnreadableValue
from refersion_dagster.refersion.tables.catalog import READ_AT, Column, Entity, Kind
from refersion_dagster.refersion.tables.coerce import ARROW_TYPES, Raw, as_values, moments, raw_array, read_chunks
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy, without_emails

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
    """A field that is not in our catalogue: stored as text, and treated as personal if its name suggests it."""
    personal = any(part in name.lower() for part in ("customer", "email", "ip_", "_ip", "phone", "address"))
    return Column(name, Kind.TEXT, "Additional field of this account; stored as text.", personal=personal)


@dataclass(frozen=True)
class ColumnBatch(Sequence[Any]):
    """Rows in columns: a list of values for each column name. Slices are ColumnBatches too."""

    values: dict[str, Raw]
    rows: int

    def __len__(self) -> int:
        return self.rows

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> ColumnBatch: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | ColumnBatch:
        some = {name: values[index] for name, values in self.values.items()}
        return ColumnBatch(some, len(range(*index.indices(self.rows)))) if isinstance(index, slice) else some


class ArrowTableBuilder:
    """Converts rows to Arrow tables that all have the same columns, regardless of what the account offers.

    Args:
        entity: the table.
        read_at: when the rows were read, UTC.
        privacy: what to do with personal values.
        extras: names of additional fields to store as text.
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

        # Columns whose values come from the rows.
        self.given = tuple(c for c in self.columns if c is not READ_AT and not c.digest_of)
        self._plain = [c.name for c in self.given if len(c.path) == 1]
        self._objects: dict[str, list[str]] = {}
        for column in self.given:
            if len(column.path) == 2:
                self._objects.setdefault(column.path[0], []).append(column.path[1])

    def select_columns(self, rows: Sequence[Row]) -> ColumnBatch:
        """The values of every column that comes from the rows.

        Called page by page right after parsing, while the parsed objects are in the processor's cache, so that they
        can be freed. Raises UnreadableValue if a value should be an object but is not.
        """
        values = dict(zip(self._plain, _pick(rows, self._plain), strict=True))
        for name, fields in self._objects.items():
            nothing = dict.fromkeys(fields)
            held = [row.get(name) or nothing for row in rows]
            if set(map(type, held)) - {dict}:
                at = next(i for i, value in enumerate(held) if not isinstance(value, dict))
                key = " ".join(str(rows[at].get(part)) for part in self.entity.primary_key)
                personal = any(column.personal and column.path[0] == name for column in self.columns)
                shown = "<a personal value>" if personal else held[at]
                raise UnreadableValue(table=self.entity.name, field=name, row=key, value=shown, wanted="an object")
            values |= zip((f"{name}__{field}" for field in fields), _pick(held, fields), strict=True)
        return ColumnBatch({name: raw_array(found) for name, found in values.items()}, len(rows))

    def build(self, parts: Sequence[ColumnBatch]) -> pa.Table:
        """The picked rows as one table, with personal values hashed or dropped.

        Raises UnreadableValue or InexactNumber, see coerce.py.
        """
        parts = [part for part in parts if len(part)]
        if not parts:
            return self.empty()
        rows = sum(map(len, parts))
        found: dict[str, Sequence[Raw]] = {name: [part.values[name] for part in parts] for name in parts[0].values}
        self._hide_personal_values(found, rows)

        def row_name(i: int) -> str:
            keys = [key for name in self.entity.primary_key if (key := as_values(found[name])[i]) is not None]
            return " ".join(map(str, keys)) or f"number {i + 1} of its page, which has no id"

        return pa.Table.from_arrays(
            [
                moments(self.read_at, rows)
                if column is READ_AT
                else read_chunks(found[column.name], column, self.entity.name, row_name)
                for column in self.columns
            ],
            schema=self.schema,
        )

    def _hide_personal_values(self, found: dict[str, Sequence[Raw]], rows: int) -> None:
        """Hashes or drops personal values. All columns together, which is several times faster."""
        hashes = {column.name: column.digest_of for column in self.columns if column.digest_of}
        personal = [column.name for column in self.columns if column.personal]
        if self.privacy.policy is PersonalData.HASH:
            hashes |= {name: name for name in personal}
        elif self.privacy.policy is PersonalData.DROP:
            found |= {name: [pa.nulls(rows)] for name in personal}
        if self.privacy.policy is not PersonalData.KEEP:
            addresses = [column.name for column in self.columns if column.holds_addresses]
            found |= {name: [without_emails(chunk) for chunk in found[name]] for name in addresses}
        if hashes:
            digests = self.privacy.digest_chunks([chunk for name in hashes.values() for chunk in found[name]])
            found |= {name: [digests[place * rows : (place + 1) * rows]] for place, name in enumerate(hashes)}

    def build_rows(self, rows: Sequence[Row]) -> pa.Table:
        """The rows as one table: `select_columns` and `build` in one step."""
        return self.build([self.select_columns(rows)])

    def empty(self) -> pa.Table:
        """A table with all columns and no rows, so that it exists in the warehouse even if there is nothing to load."""
        return pa.Table.from_batches([], self.schema)


def _pick(rows: Sequence[Row], names: Sequence[str]) -> list[Sequence[Any]]:
    """The values of each name, one per row; None if a row lacks the field."""
    given = [name for name in names if rows and name in rows[0]]
    values: dict[str, Sequence[Any]] = {}
    if len(given) > 1:
        try:
            values = dict(zip(given, zip(*map(itemgetter(*given), rows), strict=True), strict=True))
        except KeyError:
            values = {}  # rows of REST may lack fields
    return [values[name] if name in values else [row.get(name) for row in rows] for name in names]

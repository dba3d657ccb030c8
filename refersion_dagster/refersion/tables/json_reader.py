"""Reads responses directly into columns, without a Python object for each row and value.

Arrow's JSON reader is given the type of every field and accepts nothing else: no number for a text, no fraction for an
integer, no integer beyond 64 bits, no object for a scalar, no invalid text. A response of the usual shape becomes the
same columns that arrow.py would pick from the parsed rows, several times cheaper and without holding the GIL. Any
other response becomes None, and the caller parses it the usual way, which validates the values.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.json

from refersion_dagster.refersion.extract.page_assembler import Page
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder, ColumnBatch
from refersion_dagster.refersion.tables.catalog import Kind
from refersion_dagster.refersion.tables.coerce import Raw

# Rows of one response, from `ArrowJsonReader.read` or picked from parsed objects.
Part = pa.Array | ColumnBatch

# Arrow's default pool keeps much of its memory for each thread.
MEMORY = pa.system_memory_pool()

logger = logging.getLogger(__name__)

# The assumed type of a field before a value was seen: from the account's schema, otherwise from the column's type.
SCALARS = {"Int": pa.int64(), "Boolean": pa.bool_(), "String": pa.string(), "ID": pa.string()}
FIRST_GUESS = {Kind.INTEGER: pa.int64(), Kind.BOOLEAN: pa.bool_()}
# Stop trying once this many more responses failed than succeeded.
MOST_MISSES = 20


class ArrowJsonReader:
    """Reads the pages of one entity directly from the response body.

    Args:
        builder: knows the columns.
        scalars: GraphQL types of columns, if known.
    """

    def __init__(self, builder: ArrowTableBuilder, scalars: Mapping[str, str] | None = None) -> None:
        self.builder = builder
        told = {name: SCALARS[scalar] for name, scalar in (scalars or {}).items() if scalar in SCALARS}
        guesses = {column.name: FIRST_GUESS.get(column.kind, pa.string()) for column in builder.given}
        self._types = guesses | {name: kind for name, kind in told.items() if name in guesses}
        # Custom fields are a list of objects in three shapes, which a reader of plain columns cannot handle.
        self._hopeless = any(column.kind is Kind.CUSTOM_FIELDS for column in builder.given)
        self._misses = 0
        # No more threads than processors: more would only compete.
        self._turns = threading.Semaphore(os.cpu_count() or 1)
        self._schema = self._make_schema()

    def read(self, content: bytes) -> Page | None:
        """The page in a response body, with rows as an array for `convert_to_columns`. None for another shape."""
        if self._hopeless:
            return None
        with self._turns:
            page = self._read(content)
        self._misses += 1 if page is None else -1
        if self._misses >= MOST_MISSES:
            logger.info("%s: the JSON type of values differs between pages", self.builder.entity.name)
            self._hopeless = True
        self._misses = max(0, self._misses)
        return page

    def expect_types(self, values: Mapping[str, Raw]) -> None:
        """Expects from now on the types of these values, which were parsed the usual way."""
        found = {name: raw.type for name, raw in values.items() if not isinstance(raw, Sequence)}
        types = self._types | {name: kind for name, kind in found.items() if name in self._types and kind != pa.null()}
        if types != self._types:
            self._types = types
            self._schema = self._make_schema()

    def _make_schema(self) -> pa.Schema:
        """`errors` may be present but has to be null. Other unknown fields are ignored."""
        name = self.builder.entity.name
        rows: dict[str, Any] = {}
        for column in self.builder.given:
            first, *rest = column.path
            if rest:
                rows.setdefault(first, []).append(pa.field(rest[0], self._types[column.name]))
            else:
                rows[first] = self._types[column.name]
        fields = [(first, pa.struct(kind) if isinstance(kind, list) else kind) for first, kind in rows.items()]
        total = pa.struct([("total_results", pa.struct([(name, pa.int64())]))])
        data = pa.struct([(name, pa.list_(pa.struct(fields))), ("pageInfo", total)])
        return pa.schema([("data", data), ("errors", pa.null())])

    def _read(self, content: bytes) -> Page | None:
        try:
            if not content.isascii():
                content.decode()  # Arrow does not validate UTF-8
            answers = pyarrow.json.read_json(
                pa.py_buffer(content),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(content) + 1),
                pyarrow.json.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="ignore"),
                memory_pool=MEMORY,
            )
        except (pa.ArrowException, UnicodeDecodeError, OverflowError):
            return None
        if answers.num_rows != 1:
            return None
        lists, info = answers.column("data").chunk(0).flatten()
        if lists.null_count:
            return None
        rows = lists.flatten()
        ids = rows.field("id")
        total = info.flatten()[0].flatten()[0][0].as_py()
        if rows.null_count or ids.null_count or (total or 0) < 0:
            return None
        return Page(rows, ids.to_pylist(), total)


def convert_to_columns(parts: Sequence[Part]) -> list[ColumnBatch]:
    """The rows in columns. Adjacent parts of the same type are joined."""
    alike = groupby(parts, lambda part: None if isinstance(part, ColumnBatch) else part.type)
    return [
        columns
        for kind, some in alike
        for columns in ([_columns(pa.concat_arrays(list(some)))] if kind else some)  # pyright: ignore[reportArgumentType]
    ]


def _columns(rows: pa.StructArray) -> ColumnBatch:
    found = dict(zip((field.name for field in rows.type), rows.flatten(), strict=True))
    for name, values in list(found.items()):
        if pa.types.is_struct(values.type):
            del found[name]
            found |= zip((f"{name}__{field.name}" for field in values.type), values.flatten(), strict=True)
    count = len(rows)
    plain = {name: pa.nulls(count) if values.null_count == count else values for name, values in found.items()}
    return ColumnBatch(plain, count)

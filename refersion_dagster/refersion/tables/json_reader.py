"""Answers straight into columns, without an object for each row and value.

Arrow's JSON reader gets the type of every field and accepts nothing else: no number for a text, no fraction for a
whole number, no integer beyond 64 bits, no object for a scalar, no broken text. So an answer of the usual shape becomes
just the columns that arrow.py would pick from the parsed rows, several times cheaper and without holding Python's
interpreter; any other answer becomes None, and the caller parses it the usual way, which is where values are judged.
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

# Rows of one answer, from `PlainPages.read` or picked from parsed objects.
Part = pa.Array | ColumnBatch

# Arrow's own pool keeps much of what it once had for each thread.
MEMORY = pa.system_memory_pool()

logger = logging.getLogger(__name__)

# The assumed type of a field until a value was seen: by the account's schema, else by what it is to become.
SCALARS = {"Int": pa.int64(), "Boolean": pa.bool_(), "String": pa.string(), "ID": pa.string()}
FIRST_GUESS = {Kind.INTEGER: pa.int64(), Kind.BOOLEAN: pa.bool_()}
# Answers of mixed shape are tried this much more often than they fit; then trying is only a loss.
MOST_MISSES = 20


class ArrowJsonReader:
    """Reads the pages of one entity as they come from the server.

    Args:
        builder: knows the columns.
        scalars: GraphQL types of columns, where they are known.
    """

    def __init__(self, builder: ArrowTableBuilder, scalars: Mapping[str, str] | None = None) -> None:
        self.builder = builder
        told = {name: SCALARS[scalar] for name, scalar in (scalars or {}).items() if scalar in SCALARS}
        guesses = {column.name: FIRST_GUESS.get(column.kind, pa.string()) for column in builder.given}
        self._types = guesses | {name: kind for name, kind in told.items() if name in guesses}
        # A list of objects, in three shapes, is not handled by a reader of plain columns.
        self._hopeless = any(column.kind is Kind.CUSTOM_FIELDS for column in builder.given)
        self._misses = 0
        # No more than can compute in parallel: others would only compete for the processor.
        self._turns = threading.Semaphore(os.cpu_count() or 1)
        self._schema = self._make_schema()

    def read(self, content: bytes) -> Page | None:
        """The page in an answer's body, its rows as an array for `in_columns`; None when the body has another shape."""
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

    def learn(self, values: Mapping[str, Raw]) -> None:
        """Takes the types of values that were parsed the usual way for those to expect from now on."""
        found = {name: raw.type for name, raw in values.items() if not isinstance(raw, Sequence)}
        types = self._types | {name: kind for name, kind in found.items() if name in self._types and kind != pa.null()}
        if types != self._types:
            self._types = types
            self._schema = self._make_schema()

    def _make_schema(self) -> pa.Schema:
        """`errors` may be there but has to be null; other fields that nobody asked for are passed over."""
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
                content.decode()  # Arrow takes texts for UTF-8 unseen
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


def in_columns(parts: Sequence[Part]) -> list[ColumnBatch]:
    """The rows in columns, those of neighbours of one type together."""
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

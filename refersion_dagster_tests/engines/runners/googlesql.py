"""Runs statements in GoogleSQL's reference evaluator: BigQuery's language as published by Google.

    python googlesql.py prepare FOLDER             compiles the evaluator's WebAssembly into the folder, once
    python googlesql.py run FOLDER < requests      answers each line of statements with a line of results

It is executed by the Python of the engine's own environment, so it imports nothing from the package. Tables are Parquet
files; values are returned as text.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import ctypes
import json
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tzdata
import wasmtime
from zetasql.core.exceptions import ServerError
from zetasql.wasi import get_wasm_path
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
from zetasql.wasi._pb2.zetasql.proto import options_pb2, simple_catalog_pb2
from zetasql.wasi._pb2.zetasql.public import options_pb2 as public_options_pb2
from zetasql.wasi._pb2.zetasql.public import type_pb2, value_pb2
from zetasql.wasi._pb2.zetasql.resolved_ast import resolved_node_kind_pb2

EPOCH_DAY, EPOCH = date(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)
# Digits after the decimal point.
NUMERIC, BIGNUMERIC = 9, 38
NULL = value_pb2.ValueProto()
# The evaluator only has rows for tables without a schema, so `schema.table` is one name for it. Literals stay
# unchanged.
LITERAL_OR_TABLE = re.compile(r"('(?:[^'\\]|\\.)*')|\b(refersion_(?:data|summaries)\.\w+)", re.DOTALL)


class Evaluator:
    """The evaluator in this process."""

    def __init__(self, module: Path) -> None:
        wasi = wasmtime.WasiConfig()
        wasi.inherit_stderr()
        wasi.preopen_dir(str(Path(tzdata.__file__).parent / "zoneinfo"), "/usr/share/zoneinfo")
        engine = engine_for_zetasql()
        self._store = wasmtime.Store(engine)
        self._store.set_wasi(wasi)
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        loaded = wasmtime.Module.deserialize_file(engine, str(module))
        self._exports = linker.instantiate(self._store, loaded).exports(self._store)
        self._exports["_initialize"](self._store)

    def call(self, method: str, request: Any, response: Callable[[], Any]) -> Any:
        """Call a method of the local service. Raises ServerError."""
        data, store = request.SerializeToString(), self._store
        sent, size = self._exports["wasm_malloc"](store, max(len(data), 1)), self._exports["wasm_malloc"](store, 4)
        try:
            ctypes.memmove(self._address(sent), data, len(data))
            found = self._exports[f"ZetaSqlLocalService_{method}"](store, sent, len(data), size)
            if not found:
                at = self._exports["wasm_get_last_error"](store)
                raise ServerError.from_error_string(
                    self._read(at, self._exports["wasm_get_last_error_size"](store)).decode()
                )
            answer = response()
            answer.ParseFromString(self._read(found, int.from_bytes(self._read(size, 4), "little")))
            self._exports["wasm_free"](store, found)
            return answer
        finally:
            self._exports["wasm_free"](store, sent)
            self._exports["wasm_free"](store, size)

    def _address(self, at: int) -> int:
        return ctypes.addressof(self._exports["memory"].data_ptr().contents) + (at & 0xFFFFFFFF)

    def _read(self, at: int, size: int) -> bytes:
        return ctypes.string_at(self._address(at), size)


def engine_for_zetasql() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.shared_memory = True
    return wasmtime.Engine(config)


def analyzer_options(evaluator: Evaluator) -> options_pb2.AnalyzerOptionsProto:
    """BigQuery's options: external types, every released feature, and UTC."""
    language = evaluator.call(
        "GetLanguageOptions", service.LanguageOptionsRequest(maximum_features=True), options_pb2.LanguageOptionsProto
    )
    language.product_mode = public_options_pb2.PRODUCT_EXTERNAL
    for statement in ("QUERY", "INSERT", "UPDATE", "DELETE", "CREATE_TABLE"):
        kind = getattr(resolved_node_kind_pb2, f"RESOLVED_{statement}_STMT")
        language.supported_statement_kinds.append(kind)
    defaults = evaluator.call("GetAnalyzerOptions", service.AnalyzerOptionsRequest(), options_pb2.AnalyzerOptionsProto)
    options = options_pb2.AnalyzerOptionsProto(default_timezone="UTC", enabled_rewrites=defaults.enabled_rewrites)
    options.language_options.CopyFrom(language)
    return options


def kind_of(kind: pa.DataType) -> int:
    """The BigQuery type of a column."""
    if pa.types.is_decimal(kind):
        fits = kind.scale <= NUMERIC and kind.precision - kind.scale <= 29
        return type_pb2.TYPE_NUMERIC if fits else type_pb2.TYPE_BIGNUMERIC
    if pa.types.is_timestamp(kind):
        return type_pb2.TYPE_TIMESTAMP if kind.tz else type_pb2.TYPE_DATETIME
    for matches, found in (
        (pa.types.is_integer, type_pb2.TYPE_INT64),
        (pa.types.is_boolean, type_pb2.TYPE_BOOL),
        (pa.types.is_date, type_pb2.TYPE_DATE),
        (pa.types.is_string, type_pb2.TYPE_STRING),
        (pa.types.is_large_string, type_pb2.TYPE_STRING),
    ):
        if matches(kind):
            return found
    raise TypeError(f"no table has columns of type {kind}")


def encode_number(value: Decimal, digits: int) -> bytes:
    with localcontext(prec=100):
        whole = int(value.scaleb(digits))
    return whole.to_bytes((whole.bit_length() + 8) // 8, "little", signed=True)


def decode_number(value: bytes, digits: int) -> str:
    with localcontext(prec=100):
        return format(Decimal(int.from_bytes(value, "little", signed=True)).scaleb(-digits), "f")


def encode(value: Any, kind: int) -> value_pb2.ValueProto:
    if value is None:
        return NULL
    cell = value_pb2.ValueProto()
    if kind == type_pb2.TYPE_NUMERIC:
        cell.numeric_value = encode_number(value, NUMERIC)
    elif kind == type_pb2.TYPE_BIGNUMERIC:
        cell.bignumeric_value = encode_number(value, BIGNUMERIC)
    elif kind == type_pb2.TYPE_TIMESTAMP:
        microseconds = (value - EPOCH) // timedelta(microseconds=1)
        cell.timestamp_value.seconds, rest = divmod(microseconds, 1_000_000)
        cell.timestamp_value.nanos = rest * 1000
    elif kind == type_pb2.TYPE_DATETIME:
        packed = value.year
        for part, bits in ((value.month, 4), (value.day, 5), (value.hour, 5), (value.minute, 6), (value.second, 6)):
            packed = packed << bits | part
        cell.datetime_value.bit_field_datetime_seconds = packed
        cell.datetime_value.nanos = value.microsecond * 1000
    elif kind == type_pb2.TYPE_DATE:
        cell.date_value = (value - EPOCH_DAY).days
    elif kind == type_pb2.TYPE_BOOL:
        cell.bool_value = value
    elif kind == type_pb2.TYPE_INT64:
        cell.int64_value = value
    else:
        cell.string_value = value
    return cell


def decode(cell: value_pb2.ValueProto) -> str | None:
    name = cell.WhichOneof("value")
    if name is None:
        return None
    value = getattr(cell, name)
    if name == "numeric_value":
        return decode_number(value, NUMERIC)
    if name == "bignumeric_value":
        return decode_number(value, BIGNUMERIC)
    if name == "timestamp_value":
        moment = EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
        return moment.isoformat(" ", "microseconds")
    if name == "datetime_value":
        packed, parts = value.bit_field_datetime_seconds, []
        for bits in (6, 6, 5, 5, 4):
            packed, part = packed >> bits, packed & (1 << bits) - 1
            parts.append(part)
        second, minute, hour, day, month = parts
        shown = datetime(packed, month, day, hour, minute, second, value.nanos // 1000)  # noqa: DTZ001
        return shown.isoformat(" ", "microseconds")
    if name == "date_value":
        return (EPOCH_DAY + timedelta(days=value)).isoformat()
    return value if name == "string_value" else str(value).lower()


def catalog(folder: Path) -> tuple[simple_catalog_pb2.SimpleCatalogProto, dict[str, service.TableContent]]:
    """The tables of a folder, each in `schema.table.parquet`, and their rows."""
    found = simple_catalog_pb2.SimpleCatalogProto(name="bigquery")
    found.builtin_function_options.language_options.product_mode = public_options_pb2.PRODUCT_EXTERNAL
    rows: dict[str, service.TableContent] = {}
    for path in sorted(folder.glob("*.parquet")):
        read = pq.read_table(path)
        kinds = [kind_of(column.type) for column in read.schema]
        added = found.table.add(name=path.stem)
        for name, kind in zip(read.column_names, kinds, strict=True):
            added.column.add(name=name, is_writable_column=True).type.type_kind = kind
        content = rows[path.stem] = service.TableContent()
        content.table_data.SetInParent()
        columns = [column.to_pylist() for column in read.columns]
        for values in zip(*columns, strict=True):
            content.table_data.row.add(cell=[encode(value, kind) for value, kind in zip(values, kinds, strict=True)])
    return found, rows


def type_name(kind: int) -> str:
    return type_pb2.TypeKind.Name(kind).removeprefix("TYPE_").lower()


class Prepared:
    """A folder's tables in the evaluator."""

    def __init__(self, evaluator: Evaluator, folder: Path) -> None:
        self._evaluator = evaluator
        self._options = analyzer_options(evaluator)
        tables, rows = catalog(folder)
        tables.builtin_function_options.language_options.CopyFrom(self._options.language_options)
        self._columns = {
            table.name: [[column.name, type_name(column.type.type_kind)] for column in table.column]
            for table in tables.table
        }
        request = service.RegisterCatalogRequest(simple_catalog=tables, table_content=rows)
        self._id = evaluator.call("RegisterCatalog", request, service.RegisterResponse).registered_id

    def run(self, sql: str) -> dict[str, Any]:
        sql = LITERAL_OR_TABLE.sub(lambda found: found[1] or f"`{found[2]}`", sql)
        if sql.startswith("CREATE"):
            return self._create(sql)
        return self._query(sql) if sql.startswith(("SELECT", "WITH", "(")) else self._modify(sql)

    def _query(self, sql: str) -> dict[str, Any]:
        request = service.EvaluateQueryRequest(sql=sql, options=self._options, registered_catalog_id=self._id)
        found = self._evaluator.call("EvaluateQuery", request, service.EvaluateQueryResponse)
        return {
            "columns": [[column.name, type_name(column.type.type_kind)] for column in found.prepared.columns],
            "rows": [[decode(cell) for cell in row.cell] for row in found.content.table_data.row],
        }

    def _modify(self, sql: str) -> dict[str, Any]:
        """The new rows. The evaluator returns no values of deleted rows, so they are empty. No table changes."""
        request = service.EvaluateModifyRequest(sql=sql, options=self._options, registered_catalog_id=self._id)
        found = self._evaluator.call("EvaluateModify", request, service.EvaluateModifyResponse)
        return {
            "columns": self._columns[found.table_name],
            "rows": [[decode(cell) for cell in row.cell] for row in found.content],
        }

    def _create(self, sql: str) -> dict[str, Any]:
        """Only analyse the statement: the evaluator creates no tables."""
        request = service.AnalyzeRequest(sql_statement=sql, options=self._options, registered_catalog_id=self._id)
        self._evaluator.call("Analyze", request, service.AnalyzeResponse)
        return {"columns": [], "rows": []}


def answer(prepared: Prepared, statements: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, sql in statements.items():
        try:
            found[name] = prepared.run(sql)
        except ServerError as error:
            found[name] = {"error": str(error)}
    return found


def main(command: str, folder: Path) -> None:
    module = folder / "evaluator.cwasm"
    if command == "prepare":
        module.write_bytes(wasmtime.Module.from_file(engine_for_zetasql(), get_wasm_path()).serialize())
        return
    evaluator, prepared = Evaluator(module), {}
    for line in sys.stdin:
        asked = json.loads(line)
        tables = asked["tables"]
        if tables not in prepared:
            prepared[tables] = Prepared(evaluator, Path(tables))
        print(json.dumps(answer(prepared[tables], asked["statements"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

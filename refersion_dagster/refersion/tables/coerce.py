"""Strict conversion of Refersion's values to Arrow columns.

Documentation and clients show many shapes: ids as number or string, money as "24.00", 24 or "2,874.85", booleans as
true, "TRUE" or 0, times as Unix seconds (number or string) or "YYYY-MM-DD hh:mm:ss" in UTC. Each of these is accepted,
and nothing else: an unreadable value raises UnreadableValue and never becomes NULL or a guess. Columns with one plain
shape, the usual case, are converted as a whole by Arrow; others value by value.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, which type checkers cannot see)

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from refersion_dagster.refersion.errors import UnreadableValue
from refersion_dagster.refersion.tables.catalog import Column, Kind

# Values of a column as received: an Arrow array if they have one plain shape, otherwise the values themselves.
Raw = pa.Array | Sequence[Any]
PLAIN_TYPES: dict[type, pa.DataType] = {str: pa.string(), int: pa.int64(), bool: pa.bool_()}

# Every known sample has two decimals; four leave room. No account needs fourteen digits before the point.
MONEY_TYPE = pa.decimal128(18, 4)
MONEY_STEP = Decimal("0.0001")
TIME_TYPE = pa.timestamp("us", "UTC")
ARROW_TYPES: dict[Kind, pa.DataType] = {
    Kind.ID: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.MONEY: MONEY_TYPE,
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TIMESTAMP: TIME_TYPE,
    Kind.CUSTOM_FIELDS: pa.string(),
}
WANTED: dict[Kind, str] = {
    Kind.ID: "an id (a whole number or a text)",
    Kind.TEXT: "a text",
    Kind.MONEY: "an amount such as 24.00 or 2,874.85 of at most 14 digits before and 4 after the point",
    Kind.INTEGER: "a whole number of at most 64 bits",
    Kind.BOOLEAN: "a yes or no (true, false, TRUE, FALSE, 1 or 0)",
    Kind.TIMESTAMP: "a time (Unix seconds or YYYY-MM-DD hh:mm:ss, UTC) between 1990 and 2200",
    Kind.CUSTOM_FIELDS: "a list of custom fields",
}

PLAIN_MONEY = re.compile(r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?,?", re.ASCII)
WHOLE_NUMBER = re.compile(r"-?\d{1,100}", re.ASCII)
CIVIL_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Characters stripped from the ends of an id.
BLANKS = " \t\n\r\f\v"
UNCLEAN_ID = rf"^[{BLANKS}]|[{BLANKS}]$|^$"
# The ways in which PHP and MySQL write "no date".
NO_TIME = frozenset({"", "0", "0000-00-00 00:00:00"})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
LATEST = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
BOOLEANS = {True: True, False: False, "1": True, "0": False, "true": True, "false": False}
# Binary floating point holds 15 digits exactly. Longer numbers may have changed during parsing, and so may numbers
# that leave no room for four decimals.
EXACT_FLOAT_DIGITS = 15
EXACT_FLOAT_BELOW = 10**11


class InexactNumber(Exception):
    """A number was parsed as binary floating point, which may have changed it. Parse the response again, exactly."""


class _Unreadable(ValueError):
    pass


def moments(moment: datetime, count: int) -> pa.Array:
    """One timestamp, repeated `count` times.

    Built from bytes, because pyarrow imports pandas (if installed) to convert Python values: that takes a fifth of a
    second and 40 MB, which a load of plain values does not need.
    """
    microseconds = (moment - EPOCH) // timedelta(microseconds=1)
    return pa.Array.from_buffers(TIME_TYPE, count, [None, pa.py_buffer(struct.pack("=q", microseconds) * count)])


def raw_array(values: Sequence[Any]) -> Raw:
    """An Arrow array if all values have one plain shape; otherwise the values unchanged.

    Called page by page right after parsing, while the values are in the processor's cache, which is several times
    faster.
    """
    types = set(map(type, values))
    types.discard(type(None))
    if not types:
        return pa.nulls(len(values))
    plain = PLAIN_TYPES.get(next(iter(types))) if len(types) == 1 else None
    if plain is None:
        return values
    try:
        return pa.array(values, plain)
    except (OverflowError, UnicodeEncodeError):  # an int of more than 64 bits, a lone surrogate
        return values


def read_column(values: Raw, column: Column, table: str, row_name: Callable[[int], str]) -> pa.Array:
    """`read_chunks` for values in a single chunk."""
    return read_chunks([values if isinstance(values, pa.Array) else raw_array(values)], column, table, row_name)


def read_chunks(chunks: Sequence[Raw], column: Column, table: str, row_name: Callable[[int], str]) -> pa.Array:
    """Converts one column's values to an Arrow array of the column's type.

    Args:
        chunks: the values, one per row, as returned by `raw_array`.
        column: the expected type of the values.
        table: the table, for errors.
        row_name: the name of row i, for errors.

    Raises:
        UnreadableValue: names the row, the field and the value.
        InexactNumber: an id or amount is a JSON number too long for binary floating point.
    """
    array = _whole_column(chunks, column.kind)
    if array is None:
        array = _value_by_value(as_values(chunks), column, table, row_name)
    if column.required and array.null_count:
        row = next(i for i, valid in enumerate(array.is_valid().to_pylist()) if not valid)
        raise _error(column, table, row_name(row), as_values(chunks)[row])
    return array


def as_values(chunks: Sequence[Raw]) -> list[Any]:
    """The plain values of all chunks."""
    return [value for chunk in chunks for value in (chunk.to_pylist() if isinstance(chunk, pa.Array) else chunk)]


def _whole_column(chunks: Sequence[Raw], kind: Kind) -> pa.Array | None:
    """The column converted by Arrow itself, if all values have one plain shape; otherwise None."""
    arrays = [chunk for chunk in chunks if isinstance(chunk, pa.Array)]
    shapes = {array.type for array in arrays} - {pa.null()}
    if len(arrays) < len(chunks) or len(shapes) > 1 or (not shapes and kind is Kind.CUSTOM_FIELDS):
        return None
    if not shapes:
        return pa.nulls(sum(map(len, arrays)), ARROW_TYPES[kind])
    (shape,) = shapes
    values = pa.concat_arrays([array if array.type == shape else array.cast(shape) for array in arrays])
    is_text, is_number = shape == pa.string(), shape == pa.int64()
    match kind:
        case Kind.TEXT | Kind.ID if is_text:
            storable = not pc.any(pc.match_substring(values, "\x00")).as_py()
            unclean = kind is Kind.ID and pc.any(pc.match_substring_regex(values, UNCLEAN_ID)).as_py()
            return values if storable and not unclean else None
        case Kind.ID if is_number:
            return values.cast(pa.string())
        case Kind.MONEY if is_text:
            plain = pc.all(pc.match_substring_regex(values, r"^-?[0-9]{1,14}(\.[0-9]{1,4})?$")).as_py()
            return values.cast(MONEY_TYPE) if plain else None
        case Kind.INTEGER if is_number:
            return values
        case Kind.BOOLEAN if shape == pa.bool_():
            return values
        case Kind.TIMESTAMP if is_text or is_number:
            if is_text:
                if not pc.all(pc.match_substring_regex(values, r"^[0-9]{9,10}$")).as_py():
                    return None
                values = values.cast(pa.int64())
            bounds: dict[str, Any] = pc.min_max(values).as_py()
            if bounds["min"] < EARLIEST or bounds["max"] >= LATEST:
                return None
            return values.cast(pa.timestamp("s", "UTC")).cast(TIME_TYPE)
        case _:
            return None


def _value_by_value(values: Sequence[Any], column: Column, table: str, row_name: Callable[[int], str]) -> pa.Array:
    read = READERS[column.kind]
    result = []
    for i, value in enumerate(values):
        try:
            result.append(None if value is None else read(value))
        except _Unreadable:
            raise _error(column, table, row_name(i), value) from None
    return pa.array(result, ARROW_TYPES[column.kind])


def _error(column: Column, table: str, row: str, value: Any) -> UnreadableValue:
    shown = "<a personal value>" if column.personal and value is not None else value
    wanted = f"{WANTED[column.kind]}, and must not be empty" if column.required else WANTED[column.kind]
    return UnreadableValue(table=table, field=column.name, row=row, value=shown, wanted=wanted)


def read_text(value: Any) -> str:
    """Any scalar as text. NUL, which several databases cannot store, and lone surrogates become U+FFFD."""
    match value:
        case str():
            text = value
        case bool():
            text = "true" if value else "false"
        case int() | float() | Decimal():
            text = str(value)
        case _:
            text = _json(value)
    return LONE_SURROGATE.sub("\ufffd", text.replace("\x00", "\ufffd"))


def _json(value: Any) -> str:
    """JSON of any JSON value, including integers of any size and lone surrogates."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def read_id(value: Any) -> str | None:
    """An id as text. Empty values become None."""
    if isinstance(value, float):
        raise InexactNumber
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _Unreadable
    if isinstance(value, Decimal):
        if not value.is_finite() or value != value.to_integral_value():
            raise _Unreadable
        value = int(value)
    return read_text(value).strip(BLANKS) or None


def read_money(value: Any) -> Decimal:
    """An amount as an exact Decimal with at most 14 digits before and 4 after the point."""
    match value:
        case bool():
            raise _Unreadable
        case int() | Decimal():
            amount = Decimal(value)
        case float():
            digits = repr(value)
            exact = len(digits.strip("-0").replace(".", "")) <= EXACT_FLOAT_DIGITS and abs(value) < EXACT_FLOAT_BELOW
            if not exact or "e" in digits:
                raise InexactNumber
            amount = Decimal(digits)
        case str():
            text = value.strip()
            if not PLAIN_MONEY.fullmatch(text):
                raise _Unreadable
            amount = Decimal(text.replace(",", ""))
        case _:
            raise _Unreadable
    if not amount.is_finite() or (amount and amount.adjusted() >= 14) or amount != amount.quantize(MONEY_STEP):
        raise _Unreadable
    return amount


def read_integer(value: Any) -> int | None:
    """An integer of at most 64 bits. Empty text becomes None."""
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        number = int(text) if WHOLE_NUMBER.fullmatch(text) else None
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float | Decimal) and abs(value) < 2**53 and value == int(value):
        number = int(value)
    else:
        number = None
    if number is None or not -(2**63) <= number < 2**63:
        raise _Unreadable
    return number


def read_boolean(value: Any) -> bool | None:
    """A boolean. Empty text becomes None."""
    if isinstance(value, str):
        value = value.strip().lower()
        if not value:
            return None
    if not isinstance(value, str | bool | int) or value not in BOOLEANS:
        raise _Unreadable
    return BOOLEANS[value]


def read_timestamp(value: Any) -> datetime | None:
    """A time in UTC, to the microsecond. The ways of writing "no date" become None."""
    if isinstance(value, str):
        text = value.strip()
        if text in NO_TIME:
            return None
        if WHOLE_NUMBER.fullmatch(text):
            value = int(text)
        elif CIVIL_TIME.fullmatch(text):
            return _civil_time(text)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _Unreadable
    if value == 0:
        return None
    if not EARLIEST <= value < LATEST:
        raise _Unreadable
    return datetime.fromtimestamp(float(value), UTC) if value != int(value) else datetime.fromtimestamp(int(value), UTC)


def _civil_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Unreadable from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if not EARLIEST <= moment.timestamp() < LATEST:
        raise _Unreadable
    return moment


def read_custom_fields(value: Any) -> str:
    """Custom fields as JSON text: a list of {id, label, value}, from any of Refersion's three shapes.

    REST returns {label, value}, GraphQL [id, label, value] (seen), webhooks {id, name, value} (documented).
    """
    if value in ("", {}):
        value = []
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        raise _Unreadable
    fields = []
    for item in value:
        if isinstance(item, dict):
            label = item.get("label", item.get("name"))
            fields.append({"id": item.get("id"), "label": label, "value": item.get("value")})
        elif isinstance(item, list) and len(item) == 3:
            fields.append({"id": item[0], "label": item[1], "value": item[2]})
        else:
            raise _Unreadable
    present = [{key: part for key, part in one.items() if part is not None} for one in fields]
    return read_text(_json(present))


READERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.ID: read_id,
    Kind.TEXT: read_text,
    Kind.MONEY: read_money,
    Kind.INTEGER: read_integer,
    Kind.BOOLEAN: read_boolean,
    Kind.TIMESTAMP: read_timestamp,
    Kind.CUSTOM_FIELDS: read_custom_fields,
}

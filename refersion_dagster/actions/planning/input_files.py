"""Reads items from a run's configuration, or from a CSV or Parquet file with one row per item."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from refersion_dagster.actions.operations.catalog import AFFILIATE_EDIT, CONVERSION_CANCEL, Endpoint
from refersion_dagster.actions.operations.requests import CancelledSku
from refersion_dagster.actions.planning.input_errors import InputError, InputErrors

KEY = "key"
CUSTOM_FIELD = re.compile(r"custom_field_(\d+)")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Row:
    """The values of one item, as specified.

    Args:
        place: where it is, such as "row 4"; as in a spreadsheet, the header of a CSV file is row 1.
        key: the item's key, if the user set one.
    """

    place: str
    key: str | None
    values: Mapping[str, Any]


def file_columns(endpoint: Endpoint) -> tuple[str, ...]:
    """Returns the columns that a file for this operation may have, without those of custom fields."""
    fields = tuple(endpoint.item.model_fields)
    if endpoint is CONVERSION_CANCEL:
        fields = ("order_id", *CancelledSku.model_fields)
    return (*(name for name in fields if name != "custom_fields"), KEY)


def from_configuration(items: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Reads the items of a run's configuration. None means not set."""
    rows = []
    for number, item in enumerate(items, 1):
        values = {name: value for name, value in item.items() if value is not None}
        rows.append(Row(f"item {number}", _key(values.pop(KEY, None)), values))
    return rows


def from_file(path: Path, endpoint: Endpoint) -> list[Row]:
    """Reads the rows of a file by its extension: .csv (UTF-8; comma, semicolon or tab) or .parquet.

    An empty cell means not set. Raises InputErrors for an unreadable file or an unknown column.
    """
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise InputErrors([InputError(None, f"{path} is not a supported file; use a .csv or a .parquet file.")])
    try:
        names, rows = _csv(path, endpoint) if ending == ".csv" else _parquet(path)
    except FileNotFoundError:
        raise InputErrors([InputError(None, f"The file {path.absolute()} does not exist.")]) from None
    except (OSError, pa.ArrowException) as error:
        raise InputErrors([InputError(None, f"{path} cannot be read: {error}")]) from None
    _check_columns(path, endpoint, names)
    found = [(place, {name: value for name, value in row.items() if _is_filled(value)}) for place, row in rows]
    return _fold_rows(endpoint, [(place, values) for place, values in found if values])


def _csv(path: Path, endpoint: Endpoint) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputErrors(
            [InputError(None, f"{path} is not UTF-8 (byte {error.start + 1}); save it as CSV UTF-8.")]
        ) from None
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=lambda one: len(set(_names(header.split(one))) & set(file_columns(endpoint))))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    rows: list[tuple[str, dict[str, Any]]] = []
    errors: list[InputError] = []
    try:
        for number, cells in enumerate(reader, 1):
            if number == 1:
                names = _names(cells)
            elif len(cells) > len(names):
                errors.append(InputError(f"row {number}", f"has {len(cells)} cells, but the header has {len(names)}"))
            elif cells:
                rows.append((f"row {number}", dict(zip(names, cells, strict=False))))
    except csv.Error as error:
        errors.append(InputError(f"line {reader.line_num}", f"is not valid CSV: {error}"))
    if errors:
        raise InputErrors(errors)
    return names, rows


def _parquet(path: Path) -> tuple[list[str], list[tuple[str, dict[str, Any]]]]:
    table = pq.read_table(path)
    names = _names(table.column_names)
    rows = table.rename_columns(names).to_pylist() if len(set(names)) == len(names) else []
    return names, [(f"row {number}", row) for number, row in enumerate(rows, 1)]


def _names(cells: Sequence[str]) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in cells]


def _check_columns(path: Path, endpoint: Endpoint, names: Sequence[str]) -> None:
    known = file_columns(endpoint)
    errors = [InputError(None, f"{path} has the column {name} twice.") for name in set(names) if names.count(name) > 1]
    for name in names:
        if name not in known and not (endpoint is AFFILIATE_EDIT and CUSTOM_FIELD.fullmatch(name)):
            errors.append(
                InputError(None, f"{path} has an unknown column {name!r}; known columns are {', '.join(known)}.")
            )
    if errors:
        raise InputErrors(errors)


def _is_filled(value: Any) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return False
    return value is not None and not (isinstance(value, str) and not value.strip())


def _key(value: Any) -> str | None:
    return None if value is None else str(value).strip() or None


def _fold_rows(endpoint: Endpoint, rows: Sequence[tuple[str, dict[str, Any]]]) -> list[Row]:
    """Converts file rows to items. The rows of one cancelled order become one item; custom fields become one value."""
    if endpoint is CONVERSION_CANCEL:
        return _orders(rows)
    items = []
    for place, values in rows:
        custom = [(match[1], name) for name in values if (match := CUSTOM_FIELD.fullmatch(name))]
        if custom:
            values["custom_fields"] = [{"id": number, "value": values.pop(name)} for number, name in custom]
        items.append(Row(place, _key(values.pop(KEY, None)), values))
    return items


def _orders(rows: Sequence[tuple[str, dict[str, Any]]]) -> list[Row]:
    orders: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for place, values in rows:
        orders.setdefault(str(values.get("order_id", place)).strip(), []).append((place, values))
    items, errors = [], []
    for lines in orders.values():
        place = lines[0][0] if len(lines) == 1 else f"rows {', '.join(place.split()[1] for place, _ in lines)}"
        keys = {_key(values.pop(KEY, None)) for _, values in lines}
        if len(keys) > 1:
            errors.append(InputError(place, "are one order but have different keys"))
            continue
        order_id = lines[0][1].get("order_id")
        skus = [{name: value for name, value in values.items() if name != "order_id"} for _, values in lines]
        items.append(Row(place, keys.pop(), ({"order_id": order_id} if order_id else {}) | {"skus": skus}))
    if errors:
        raise InputErrors(errors)
    return items

"""Reads one exported file completely: every row typed, or an error with file, line and column."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from refersion_dagster.refersion.errors import UnusableExport
from refersion_dagster.refersion.exports.csv_text import CsvRecord, CsvText, read_csv
from refersion_dagster.refersion.exports.folder import AFFILIATES as AFFILIATES_KIND
from refersion_dagster.refersion.exports.folder import CONVERSIONS, PERFORMANCE, ExportFile
from refersion_dagster.refersion.exports.mapping import NEEDED, ColumnMatch, ExportSettings, match_columns
from refersion_dagster.refersion.exports.values import CellReader, UnreadableCell, describe_shape
from refersion_dagster.refersion.tables.arrow import ColumnBatch
from refersion_dagster.refersion.tables.catalog import (
    AFFILIATE_GET,
    AFFILIATES,
    Entity,
    FieldSource,
    Kind,
    name_state,
)
from refersion_dagster.refersion.tables.catalog import CONVERSIONS as CONVERSIONS_TABLE
from refersion_dagster.refersion.tables.coerce import raw_array
from refersion_dagster.rounding import format_amount

TOTALS_WORD = re.compile(r"(grand |sub[- ]?|overall )?totals?:?|sum:?", re.IGNORECASE)
# An id that a spreadsheet has rounded.
ROUNDED = re.compile(r"\d(\.\d+)?E\+?\d+", re.IGNORECASE)
AMOUNTS = ("total", "commission_total")
SEVERAL_CURRENCIES = "its amounts cover several currencies without saying how, and were not compared"
# The raw tables that each kind of export fills. A performance report has sums, which are rows of no raw table.
TABLES: Mapping[str, Sequence[Entity]] = {
    CONVERSIONS: (CONVERSIONS_TABLE,),
    AFFILIATES_KIND: (AFFILIATES, AFFILIATE_GET),
    PERFORMANCE: (),
}
# An export of conversions has pending and approved ones only, one of affiliates pending and active ones only
# (documented). Rows in other states are missing, which is not a field but has the same effect on figures.
LEFT_OUT: Mapping[str, Sequence[str]] = {
    CONVERSIONS_TABLE.name: (name_state("DENIED"), name_state("UNQUALIFIED")),
    AFFILIATES.name: (name_state("DENIED"), name_state("DISABLED")),
    AFFILIATE_GET.name: (),
}


@dataclass(frozen=True)
class Export:
    """The rows of one exported file.

    Args:
        file: where they come from.
        text: how it is written.
        columns: the column of each field.
        values: the values of each field, one per row.
        ids: the rows' ids, each with its line. Of a performance report, the affiliate's id and the currency.
        notes: what the user should know.
    """

    file: ExportFile
    text: CsvText
    columns: Mapping[str, ColumnMatch]
    values: Mapping[str, Sequence[Any]]
    ids: Mapping[str, int]
    notes: Sequence[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def unused(self) -> list[str]:
        """Columns that are not loaded."""
        used = {match.header for match in self.columns.values()}
        return [title for title in self.text.header if title not in used]

    def batch(self, entity: Entity) -> ColumnBatch:
        """The rows as columns of a raw table. Fields that the export does not have are None."""
        nothing = [None] * self.rows
        return ColumnBatch(
            {
                column.name: raw_array(self.values.get(column.name, nothing))
                for column in entity.columns
                if column.name != "read_at" and not column.digest_of
            },
            self.rows,
        )

    def lacking(self, entity: Entity) -> list[str]:
        """Fields of a raw table that the export does not have, and the states whose rows it leaves out."""
        known = [c.name for c in entity.columns if c.evidence is not FieldSource.OURS or c.name == "affiliate_code"]
        return [*(name for name in known if name not in self.values), *LEFT_OUT[entity.name]]


def read_export(file: ExportFile, settings: ExportSettings) -> Export:
    """Reads a file. Raises UnusableExport with file and line; then nothing of it may be loaded."""
    text = read_csv(
        file.content,
        file.name,
        encoding=settings.encoding,
        separator=settings.separator,
        may_lack_end=settings.ends_without_newline,
    )
    columns = match_columns(file.kind, text.header, settings, file.name)
    key = "affiliate_id" if file.kind == PERFORMANCE else "id"
    records, totals = _split_totals(text.records, columns[key].place)
    cells = CellReader(settings, separates_by_comma=text.separator == ",")
    reader = _RowReader(file, columns, cells)
    values: dict[str, list[Any]] = {name: [] for name in columns}
    ids: dict[str, int] = {}
    for record in records:
        row = reader.read(record)
        id = f"{row[key]} {reader.currency(record)}" if file.kind == PERFORMANCE else row[key]
        if id in ids:
            raise UnusableExport(
                f"{file.name} has the id {id} on lines {ids[id]} and {record.line}.",
                advice="Export it again, with each row once.",
            )
        ids[id] = record.line
        for name, held in values.items():
            held.append(row[name])
    if file.kind != AFFILIATES_KIND and "currency" not in values:
        values["currency"] = [settings.currency] * len(records)
    if file.kind == CONVERSIONS:
        _check_period(file, values["created"], list(ids.values()))
    notes = _compare_totals(reader, [record.line for record in records], values, totals)
    notes += _find_dates_without_time(columns, records)
    return Export(file, text, columns, values, ids, notes)


def _split_totals(records: Sequence[CsvRecord], id_place: int) -> tuple[list[CsvRecord], list[CsvRecord]]:
    """Separates rows of totals from the others: their id is empty or says that they are totals."""
    rows: list[CsvRecord] = []
    totals: list[CsvRecord] = []
    for record in records:
        id_cell = record.cells[id_place].strip()
        says_total = (TOTALS_WORD.fullmatch(cell.strip()) for cell in record.cells)
        is_total = TOTALS_WORD.fullmatch(id_cell) or (not id_cell and any(says_total))
        (totals if is_total else rows).append(record)
    return rows, totals


class _RowReader:
    def __init__(self, file: ExportFile, columns: Mapping[str, ColumnMatch], cells: CellReader) -> None:
        self.file, self.columns, self.cells = file, columns, cells

    def read(self, record: CsvRecord) -> dict[str, Any]:
        """The values of a row by field. Raises UnusableExport."""
        currency = self.currency(record)
        return {name: self.value(record, match, currency) for name, match in self.columns.items()}

    def currency(self, record: CsvRecord) -> str | None:
        match = self.columns.get("currency")
        return self.value(record, match, None) if match else self.cells.settings.currency

    def value(self, record: CsvRecord, match: ColumnMatch, currency: str | None) -> Any:
        text = record.cells[match.place]
        column = match.field
        try:
            if column.kind is Kind.ID and ROUNDED.fullmatch(text.strip()):
                raise UnreadableCell("an id with all of its digits: a spreadsheet has rounded it")
            value = self.cells.read(
                self.file.kind, column.name, column.kind, text, is_in_utc=match.is_in_utc, currency=currency
            )
            if value is None and (column.name in NEEDED[self.file.kind] or column.name == "currency"):
                raise UnreadableCell("filled")
        except UnreadableCell as error:
            raise UnusableExport(
                f"Line {record.line} of {self.file.name}: column {match.header!r} ({column.name}) has a value of the "
                f"shape {describe_shape(text)}, which is not {error}.",
                advice="Nothing of the file was loaded.",
            ) from None
        return value


def _check_period(file: ExportFile, created: Sequence[str], lines: Sequence[int]) -> None:
    """Raises UnusableExport for a row outside of the period that the file covers by its name."""
    for moment, line in zip(created, lines, strict=True):
        made = datetime.strptime(moment, "%Y-%m-%d %H:%M:%S.%fZ").replace(tzinfo=UTC)
        if not file.start <= made < file.end:
            raise UnusableExport(
                f"Line {line} of {file.name} was created at {made:%Y-%m-%d %H:%M:%S} UTC, but by its name the file has "
                f"conversions from {file.start:%Y-%m-%d %H:%M:%S} to {file.end:%Y-%m-%d %H:%M:%S} UTC.",
                advice="Correct the name, or timezone in exports.yaml. Nothing of the file was loaded.",
            )


def _compare_totals(
    reader: _RowReader, lines: Sequence[int], values: Mapping[str, Sequence[Any]], totals: Sequence[CsvRecord]
) -> list[str]:
    """Compares each row of totals with the sums of all rows, or of those since the last one. Returns notes.

    Raises UnusableExport if they differ: rows are missing, or damaged.
    """
    notes: list[str] = []
    before = 0
    for record in totals:
        match = reader.columns.get("currency")
        title = record.cells[match.place].strip() if match else ""
        currency = title if re.fullmatch("[A-Z]{3}", title) else None
        for name in AMOUNTS:
            amount = reader.columns.get(name)
            if amount is None or not record.cells[amount.place].strip():
                continue
            found = values.get("currency") or [None] * len(lines)
            every: dict[Any, Decimal] = defaultdict(Decimal)
            since: dict[Any, Decimal] = defaultdict(Decimal)
            for line, value, own in zip(lines, values[name], found, strict=True):
                for key in (own, None):
                    every[key] += Decimal(value)
                    if before < line < record.line:
                        since[key] += Decimal(value)
            only = next(iter(set(found)), None) if len(set(found)) == 1 else currency
            said = Decimal(reader.value(record, amount, only))
            if said in (every[currency], since[currency]):
                continue
            if currency is None and len(set(found)) > 1:
                notes.append(f"Line {record.line} of {reader.file.name} is a row of totals: {SEVERAL_CURRENCIES}.")
                continue
            raise UnusableExport(
                f"Line {record.line} of {reader.file.name} says that {amount.header!r} adds up to "
                f"{format_amount(said)}, but its rows add up to {format_amount(every[currency])}.",
                advice="Export it again: rows are missing or damaged. Nothing of the file was loaded.",
            )
        before = record.line
    return list(dict.fromkeys(notes))


def _find_dates_without_time(columns: Mapping[str, ColumnMatch], records: Sequence[CsvRecord]) -> list[str]:
    match = columns.get("created")
    if match is None or not records:
        return []
    if all(re.fullmatch(r"\d{4}-\d\d-\d\d", record.cells[match.place].strip()) for record in records):
        return [f"{match.header!r} has dates without a time of day: each counts as the first second of the day."]
    return []

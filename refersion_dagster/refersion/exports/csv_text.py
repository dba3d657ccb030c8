"""Reads the records of a CSV file strictly, whatever its encoding and separator.

Encodings are told apart by what is certain: a byte order mark, zero bytes, and whether the bytes are valid UTF-8. Only
what is none of these is Windows-1252, the one 8-bit encoding that Western spreadsheets write. A statistical guess would
not say when it is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from refersion_dagster.refersion.errors import UnusableExport

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
UTF_8, WINDOWS = "utf-8", "cp1252"
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Longest value of a cell, in characters. An unclosed quote would otherwise take the rest of the file into one.
LONGEST = 100_000


@dataclass(frozen=True)
class CsvRecord:
    """One record.

    Args:
        line: where it begins; the header is line 1.
        cells: its values, as many as the header has.
    """

    line: int
    cells: Sequence[str]


@dataclass(frozen=True)
class CsvText:
    """A file's header and records, and how it is written."""

    header: Sequence[str]
    records: Sequence[CsvRecord]
    encoding: str
    separator: str


def read_csv(
    content: bytes, name: str, *, encoding: str | None = None, separator: str | None = None, may_lack_end: bool = False
) -> CsvText:
    """Returns the header and the records.

    Args:
        name: the file's name, for errors.
        encoding, separator: as declared; None to find out.
        may_lack_end: whether files of this account end without a line break.

    Raises UnusableExport with file and line for anything that is not a complete CSV file.
    """
    text, found = _decode(content, name, encoding)
    if not text.strip():
        raise UnusableExport(
            f"{name} is empty.", advice="Export it again; an export without rows still has its header."
        )
    if not may_lack_end and not text.endswith(("\n", "\r")):
        raise UnusableExport(
            f"{name} ends in the middle of line {text.count(chr(10)) + 1}: it is not complete, or still being written.",
            advice="Export it again. If Refersion writes no line break after the last row, say so in exports.yaml: "
            "ends_without_newline: true.",
        )
    separator = separator or _find_separator(text, name)
    rows = _read_records(text, name, separator)
    header = [cell.strip() for cell in rows[0].cells]
    twice = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if twice:
        raise UnusableExport(
            f"{name} has the column {', '.join(map(repr, twice))} more than once, so it is not known which one counts.",
            advice="Export it with each column once.",
        )
    for record in rows[1:]:
        if len(record.cells) != len(header):
            raise UnusableExport(
                f"Line {record.line} of {name} has {len(record.cells)} cells, but the header has {len(header)}.",
                advice="Export it again: the file is damaged or not complete.",
            )
    return CsvText(header, rows[1:], found, separator)


def _decode(content: bytes, name: str, declared: str | None) -> tuple[str, str]:
    encoding = declared or _find_encoding(content, name)
    try:
        return content.decode(encoding), encoding
    except (UnicodeDecodeError, LookupError) as error:
        where = f"byte {error.start + 1}" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UnusableExport(
            f"{name} cannot be read as {encoding} ({where}).",
            advice="Name its encoding in exports.yaml (encoding: …), or export it as UTF-8.",
        ) from None


def _find_encoding(content: bytes, name: str) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return encoding
    if b"\x00" in content:
        # Without a mark, the zero bytes of plain letters are at odd places in one order and at even ones in the other.
        return "utf-16-le" if content[1::2].count(0) > content[::2].count(0) else "utf-16-be"
    lines: dict[bool, int] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.isascii():
            lines.setdefault(_is_utf_8(line), number)
    if len(lines) > 1:
        raise UnusableExport(
            f"{name} mixes encodings: line {lines[True]} is UTF-8, line {lines[False]} is not.",
            advice="Export it again without editing it, or save it in one encoding.",
        )
    return WINDOWS if False in lines else UTF_8


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode(UTF_8)
    except UnicodeDecodeError:
        return False
    return True


def _find_separator(text: str, name: str) -> str:
    """Returns the separator that divides the header into most columns."""
    line = next(line for line in text.splitlines() if line.strip())
    columns = {one: len(next(csv.reader([line], delimiter=one))) for one in SEPARATORS}
    best = max(columns.values())
    chosen = [one for one, count in columns.items() if count == best]
    if best < 2 or len(chosen) > 1:
        raise UnusableExport(
            f"It is not clear what separates the columns of {name} (line 1).",
            advice="Name it in exports.yaml, for example separator: ';'.",
        )
    return chosen[0]


def _read_records(text: str, name: str, separator: str) -> list[CsvRecord]:
    before = csv.field_size_limit(LONGEST)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[CsvRecord] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(CsvRecord(line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnusableExport(
            f"Line {line} of {name} is not valid CSV: {error}.",
            advice="Export it again: the file is damaged or not complete.",
        ) from None
    finally:
        csv.field_size_limit(before)
    return rows

"""Small exported files, and how they are read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from refersion_dagster.refersion.exports.folder import ExportFile, list_exports
from refersion_dagster.refersion.exports.mapping import ExportSettings
from refersion_dagster.refersion.exports.reader import Export, read_export

NAME = "conversions 2026-07-01 0930.csv"
HEADER = "Conversion ID,Created (UTC),Affiliate ID,Order ID,Status,Payment Status,Currency,Order Total,Commission"
ROWS = (
    "1,2026-06-01 10:00:00,7,A1,APPROVED,PAID,USD,100.00,10.00",
    '2,2026-06-02 11:30:00,8,A2,PENDING,UNPAID,USD,"1,050.50",105.05',
)
MADE_AT = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
SETTINGS = ExportSettings()


def text(*rows: str, header: str = HEADER) -> str:
    return "".join(f"{line}\n" for line in (header, *(rows or ROWS)))


def write(folder: Path, content: str | bytes, name: str = NAME) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def only(folder: Path, settings: ExportSettings = SETTINGS) -> ExportFile:
    (file,) = list_exports(folder, settings.zone)
    return file


def read(folder: Path, content: str | bytes, settings: ExportSettings = SETTINGS, name: str = NAME) -> Export:
    write(folder, content, name)
    return read_export(only(folder, settings), settings)

"""Checks a folder of CSV exports: names, how files are written, which column is taken for which field, and periods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, skipped, warned
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.refersion.exports.csv_text import SEPARATORS
from refersion_dagster.refersion.exports.folder import (
    AFFILIATES,
    CONVERSIONS,
    EXPORT_EVERYTHING,
    PERFORMANCE,
    ExportFile,
    check_coverage,
    describe_beginning,
    list_exports,
)
from refersion_dagster.refersion.exports.mapping import FILE, Confidence, ExportSettings, read_settings
from refersion_dagster.refersion.exports.performance import compare_report
from refersion_dagster.refersion.exports.reader import Export, read_export

NAMES = ("exports_folder", "exports_conversions", "exports_affiliates", "exports_performance", "exports_periods")
LOOK = f"Compare them with a few rows. If one is wrong, name the right one under columns in {FILE}."


def check_exports(folder: Path) -> Iterator[DoctorCheck]:
    try:
        settings = read_settings(folder)
        files = list_exports(folder, settings.zone)
    except RefersionError as error:
        yield _failed("exports_folder", error)
        yield from (skipped(name, "the folder cannot be used") for name in NAMES[1:])
        return
    yield _folder(folder, files, settings)
    for kind in (CONVERSIONS, AFFILIATES):
        yield _read(kind, [file for file in files if file.kind == kind], settings)
    yield _performance(files, settings)
    yield _periods([file for file in files if file.kind == CONVERSIONS], settings)


def _failed(name: str, error: RefersionError) -> DoctorCheck:
    return failed(name, error.what, error.advice or "Export it again.")


def _folder(folder: Path, files: Sequence[ExportFile], settings: ExportSettings) -> DoctorCheck:
    others = sorted(path.name for path in folder.iterdir() if path.suffix.lower() != ".csv" and path.name != FILE)
    zone = f"time zone {settings.zone.key}" + ("" if settings.timezone else f" (not declared in {FILE})")
    left_out = f"; not read: {', '.join(others[:5])}" if others else ""
    return passed("exports_folder", f"{len(files)} exports, {zone}{left_out}", files=[file.name for file in files])


def _read(kind: str, files: Sequence[ExportFile], settings: ExportSettings) -> DoctorCheck:
    """Reads every file of a kind, and explains the columns of the latest."""
    name = f"exports_{kind}"
    if not files:
        if kind == CONVERSIONS:
            return failed(name, "no export of conversions", "Every figure needs conversions: export them.")
        return warned(name, "no export of affiliates", "Names and PayPal e-mails stay empty: export affiliates, too.")
    try:
        export = [read_export(file, settings) for file in files][-1]
    except RefersionError as error:
        return _failed(name, error)
    likely = [one for one in export.columns.values() if one.confidence is Confidence.LIKELY]
    told = _describe_file(export)
    details = {
        "columns": {field: [one.header, one.confidence.value] for field, one in export.columns.items()},
        "not_loaded": export.unused,
        "notes": list(export.notes),
    }
    if likely or export.notes:
        return warned(name, told, " ".join([*export.notes, *([LOOK] if likely else [])]), **details)
    return passed(name, told, **details)


def _performance(files: Sequence[ExportFile], settings: ExportSettings) -> DoctorCheck:
    """Reads every performance report, explains the columns of the latest and compares it with the conversions."""
    reports = [file for file in files if file.kind == PERFORMANCE]
    if not reports:
        return skipped("exports_performance", "no performance report, which would confirm the conversions")
    try:
        export = [read_export(file, settings) for file in reports][-1]
        compared = compare_report(export, files, lambda file: read_export(file, settings))
    except RefersionError as error:
        return _failed("exports_performance", error)
    told = f"{_describe_file(export)}. {compared.describe()}"
    likely = any(one.confidence is Confidence.LIKELY for one in export.columns.values())
    if compared.not_compared:
        advice = "Export conversions of its period within a day of it."
    elif compared.differing:
        advice = "Compare one of these affiliates in Refersion."
    else:
        return passed("exports_performance", told)
    return warned("exports_performance", told, f"{advice} {LOOK}" if likely else advice)


def _describe_file(export: Export) -> str:
    name = SEPARATORS[export.text.separator]
    return f"{export.file.name}: {export.rows:,} rows, {export.text.encoding}, {name}; {_describe(export)}"


def _describe(export: Export) -> str:
    parts = []
    for confidence in Confidence:
        found = [f"{one.header} = {name}" for name, one in export.columns.items() if one.confidence is confidence]
        if found:
            parts.append(f"{confidence.value} ({', '.join(found)})")
    if export.unused:
        parts.append(f"not loaded ({', '.join(export.unused)})")
    return "; ".join(parts)


def _periods(files: Sequence[ExportFile], settings: ExportSettings) -> DoctorCheck:
    if not files:
        return skipped("exports_periods", "no export of conversions")
    spans = [file.span for file in files]
    try:
        check_coverage(spans, settings.zone)
    except RefersionError as error:
        return _failed("exports_periods", error)
    if beginning := describe_beginning(spans, settings.zone):
        return warned("exports_periods", beginning, EXPORT_EVERYTHING)
    latest = max(file.made_at for file in files).astimezone(settings.zone)
    return passed("exports_periods", f"without a gap, up to {latest:%Y-%m-%d %H:%M} ({settings.zone.key})")

"""Compares performance reports with exports of conversions: approved conversions by affiliate and currency.

Refersion documents that these reports have approved conversions only, but not whether their periods mean the time at
which a conversion was made or approved, nor which types of conversions they include. So sums that agree confirm the
conversions from a second source, and sums that differ are said, but do not refute them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from refersion_dagster.refersion.exports.folder import CONVERSIONS, SAME_SITTING, ExportFile
from refersion_dagster.refersion.exports.reader import Export

NO_EXPORT = "no exports of conversions that were made within a day of it cover its period"
NO_AFFILIATE = "the exports of conversions do not say whose they are"
NOTHING = Decimal(0)


@dataclass(frozen=True)
class Sums:
    """Approved conversions of one affiliate in one currency.

    Args:
        conversions: their number; None if the report does not have it.
    """

    conversions: int | None
    total: Decimal
    commission_total: Decimal

    def agree(self, other: Sums) -> bool:
        counted = None not in (self.conversions, other.conversions)
        return (
            self.total == other.total
            and self.commission_total == other.commission_total
            and (not counted or self.conversions == other.conversions)
        )


@dataclass(frozen=True)
class PerformanceRow:
    """What a performance report and the conversions say of one affiliate in one currency.

    Args:
        clicks: as reported; None if the report does not have them.
        reported: None if the report does not list the affiliate in this currency.
        exported: the sums of the exported conversions; None if they were not compared.
    """

    affiliate_id: str
    currency: str
    clicks: int | None
    reported: Sums | None
    exported: Sums | None

    @property
    def agrees(self) -> bool | None:
        """None if it was not compared."""
        if self.exported is None:
            return None
        return (self.reported or Sums(0, NOTHING, NOTHING)).agree(self.exported)


@dataclass(frozen=True)
class Comparison:
    """A performance report beside the conversions.

    Args:
        not_compared: why it was not compared; None if it was.
    """

    report: Export
    rows: Sequence[PerformanceRow]
    not_compared: str | None

    @property
    def differing(self) -> list[PerformanceRow]:
        return [row for row in self.rows if row.agrees is False]

    def describe(self) -> str:
        name = self.report.file.name
        if self.not_compared:
            return f"{name} was not compared: {self.not_compared}."
        if not self.differing:
            return f"{name} agrees with the conversions: {len(self.rows):,} sums by affiliate and currency."
        ids = ", ".join(sorted({row.affiliate_id for row in self.differing})[:5])
        return (
            f"{name} differs from the conversions in {len(self.differing):,} of {len(self.rows):,} sums by affiliate "
            f"and currency (affiliates {ids}). Its period may mean the time of approval, and it may include other "
            "types of conversions; otherwise one of the two exports is not complete."
        )


def compare_report(report: Export, files: Sequence[ExportFile], read: Callable[[ExportFile], Export]) -> Comparison:
    """Compares a performance report with the exports of conversions that were made nearest to it.

    Args:
        files: all exported files of the folder.
        read: reads one of them.
    """
    reported = _reported(report)
    chosen = _choose(report.file, files)
    exports = [read(file) for file in chosen]
    why = NO_EXPORT if not chosen else None
    if any("affiliate_id" not in one.values and "affiliate__id" not in one.values for one in exports):
        why = NO_AFFILIATE
    exported = {} if why else _sum(report.file, exports)
    rows = []
    for key in sorted(reported.keys() | exported.keys()):
        clicks, sums = reported.get(key, (None, None))
        rows.append(PerformanceRow(*key, clicks, sums, None if why else exported.get(key, Sums(0, NOTHING, NOTHING))))
    return Comparison(report, rows, why)


def _reported(report: Export) -> dict[tuple[str, str], tuple[int | None, Sums]]:
    values = report.values
    nothing: Sequence[Any] = [None] * report.rows
    columns = (
        *(values["affiliate_id"], values["currency"], values.get("clicks", nothing)),
        *(values.get("conversions", nothing), values["total"], values["commission_total"]),
    )
    return {
        (str(id), currency): (clicks, Sums(count, Decimal(total), Decimal(commission)))
        for id, currency, clicks, count, total, commission in zip(*columns, strict=True)
    }


def _choose(report: ExportFile, files: Sequence[ExportFile]) -> list[ExportFile]:
    """The exports of conversions, nearest in time first, that together cover the report's period. Empty if none do."""
    near = [file for file in files if file.kind == CONVERSIONS and abs(file.made_at - report.made_at) <= SAME_SITTING]
    near.sort(key=lambda file: abs(file.made_at - report.made_at))
    chosen: list[ExportFile] = []
    for file in near:
        if file.start < report.end and report.start < file.end:
            chosen.append(file)
            if _cover(chosen, report):
                return chosen
    return []


def _cover(files: Sequence[ExportFile], report: ExportFile) -> bool:
    # What was made between two exports of the same sitting is in the later one only.
    end = min(report.end, max(file.made_at for file in files))
    upto = report.start
    for file in sorted(files, key=lambda file: file.start):
        if file.start <= upto:
            upto = max(upto, file.end)
    return upto >= end


def _sum(report: ExportFile, exports: Sequence[Export]) -> dict[tuple[str, str], Sums]:
    """Approved conversions made in the report's period. Of those in several exports, the nearest in time counts."""
    found: dict[tuple[str, str], Sums] = {}
    seen: set[str] = set()
    for export in exports:
        values = export.values
        whose = values.get("affiliate_id") or values.get("affiliate__id") or ()
        tests = values.get("is_test_conversion", [None] * export.rows)
        columns = (
            *(values["id"], whose, values["currency"], values["status"], values["created"], tests),
            *(values["total"], values["commission_total"]),
        )
        for id, affiliate, currency, status, created, is_test, total, commission in zip(*columns, strict=True):
            made = datetime.strptime(created, "%Y-%m-%d %H:%M:%S.%fZ").replace(tzinfo=UTC)
            if id in seen or not report.start <= made < report.end:
                continue
            seen.add(id)
            if status != "APPROVED" or is_test:
                continue
            key = str(affiliate), currency
            held = found.get(key, Sums(0, NOTHING, NOTHING))
            found[key] = Sums(
                (held.conversions or 0) + 1,
                held.total + Decimal(total),
                held.commission_total + Decimal(commission),
            )
    return found

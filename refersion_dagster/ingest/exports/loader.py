"""Loads the files of a folder of exports, each as one reading of the account at the time it was exported.

Every new file is read and checked before any is loaded. Then each is one load, oldest first, followed by the history
of what it shows: changes since the export before, and rows that are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from refersion_dagster.ingest.exports.ledger import NEW_WAREHOUSE, keep_loaded, list_loaded, select_new
from refersion_dagster.ingest.exports.performance import compare_reports
from refersion_dagster.ingest.gaps import keep_gaps
from refersion_dagster.ingest.history.conversions import TABLE as HISTORY
from refersion_dagster.ingest.history.conversions import update_history
from refersion_dagster.ingest.history.missing_rows import mark_listed
from refersion_dagster.ingest.history.readings import TABLE as READINGS
from refersion_dagster.ingest.history.schemas import CHANGES, keep_schema
from refersion_dagster.ingest.history.schemas import TABLE as SCHEMAS
from refersion_dagster.ingest.results import describe_history, describe_table
from refersion_dagster.ingest.table_loads import TableLoads
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import AnotherAccount, UnusableExport
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
from refersion_dagster.refersion.exports.mapping import read_settings
from refersion_dagster.refersion.exports.reader import TABLES, Export, read_export
from refersion_dagster.refersion.exports.source import EXPORTED, NOT_EXPORTED
from refersion_dagster.refersion.identity import TABLE as ACCOUNT
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.warehouse.session import Session, UndefinedTable

NO_COLUMN = "The exports do not have it."
NO_AFFILIATES = "The folder has no export of affiliates."
TESTS = "The exports do not say which conversions are tests. If they have any, these count in every figure."
GONE = "gone from export"
# An approved conversion stays in the exports. If more of them are gone than these, the export is not complete.
MOST_GONE, MOST_GONE_SHARE = 3, 0.05

SHOWN_BEFORE = f"""
SELECT id FROM {DATASET}.conversions
WHERE status = 'APPROVED' AND vanished_at IS NULL AND created >= $start AND created < $end AND read_at < $made_at
"""  # noqa: S608 - names of ours
SHOWN_LATER = f"SELECT id FROM {DATASET}.conversions WHERE read_at > $made_at"  # noqa: S608
# Conversions leave the exports when they are denied (documented), found unqualified, or deleted: nothing is owed of any
# of them. They are in this state from the export on that lacks them.
MARK_GONE = f"""
UPDATE {DATASET}.conversions
SET
  reason = CASE
    WHEN reason LIKE '{GONE}%' THEN reason
    WHEN status = 'PENDING' THEN '{GONE}: denied, unqualified or deleted'
    ELSE '{GONE}: reversed or deleted'
  END,
  status = 'DENIED',
  updated = NULL,
  read_at = $made_at
WHERE created >= $start AND created < $end AND read_at < $made_at AND vanished_at IS NULL
"""  # noqa: S608
NOT_READ_AGAIN = f"""
SELECT count(*), min(read_at) FROM {DATASET}.conversions
WHERE vanished_at IS NULL AND read_at < (SELECT max(read_at) FROM {DATASET}.conversions) - INTERVAL '24' HOUR
  AND (status = 'PENDING' OR (status = 'APPROVED' AND coalesce(payment_status, '') <> 'PAID'))
"""  # noqa: S608
AFFILIATES_HELD = f"""
SELECT DISTINCT coalesce(affiliate_id, affiliate__id) FROM {DATASET}.conversions
WHERE coalesce(affiliate_id, affiliate__id) IS NOT NULL
"""  # noqa: S608


class ExportLoader:
    """Loads a folder of exports into one warehouse, within one run."""

    def __init__(self, loads: TableLoads, folder: Path) -> None:
        self.context = loads.context
        self.warehouse = loads.warehouse
        self.loads = loads
        self.folder = folder
        self.settings = read_settings(folder)

    def load(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        """Loads what is new, and yields the result of each table. Raises UnusableExport before anything is loaded."""
        if not self.loads.request.looks_back:
            raise UnusableExport(
                "A run over a period, or a full reload, is not possible for an account that is read from exports.",
                advice=f"Put an export into {self.folder} and refresh. {NEW_WAREHOUSE}",
            )
        exports, files = self._read_new(tables)
        filled = {entity.name for export in exports for entity in TABLES[export.file.kind]}
        self._load_empty([table for table in tables if table in ENTITIES and table not in filled])
        for export in exports:
            self._load_one(export, [entity.name for entity in TABLES[export.file.kind] if entity.name in tables])
        if CONVERSIONS in tables:
            self._describe_conversions()
            self._compare_performance(files)
        # In this order, each comes after those that it depends on.
        counts = self.warehouse.row_counts([table for table in ENTITIES if table in tables])
        for table, count in counts.items():
            yield describe_table(self.loads, table, count, {"exports": str(self.folder)})
        if {HISTORY, READINGS} & set(tables) and CONVERSIONS not in tables:
            update_history(self.warehouse, [])
        for table in (HISTORY, READINGS):
            if table in tables:
                yield describe_history(self.loads, table)
        if of_schema := [table for table in (SCHEMAS, CHANGES) if table in tables]:
            with self.warehouse.session() as session:
                keep_schema(session, self.loads.report)
            for table in of_schema:
                yield describe_history(self.loads, table, not_read="Exports have no GraphQL schema.")

    def _read_new(self, tables: Sequence[str]) -> tuple[list[Export], list[ExportFile]]:
        """Reads all files that are not loaded yet, and checks them together. Returns these, and all files."""
        files = list_exports(self.folder, self.settings.zone)
        with self.warehouse.session() as session:
            session.create_schema(DATASET)
            loaded = list_loaded(session)
            new = []
            for kind, entities in TABLES.items():
                of_kind = [file for file in files if file.kind == kind]
                wanted = [entity.name for entity in entities if entity.name in tables]
                if kind == CONVERSIONS and wanted and not of_kind:
                    raise UnusableExport(
                        f"{self.folder} has no export of conversions.", advice="Every figure needs conversions."
                    )
                if wanted:
                    new += select_new(of_kind, loaded, wanted, self.settings)
                if kind == AFFILIATES and not of_kind:
                    for table in wanted:
                        self.loads.report.table(table).not_offered = NO_AFFILIATES
            if CONVERSIONS in tables:
                spans = [one.span for one in loaded if one.table == CONVERSIONS]
                spans += [file.span for file in new if file.kind == CONVERSIONS]
                check_coverage(spans, self.settings.zone)
            exports = [read_export(file, self.settings) for file in sorted(new, key=lambda file: file.made_at)]
            for file in files:
                if file.kind == PERFORMANCE and CONVERSIONS in tables:
                    read_export(file, self.settings)
            self._check_account(session, exports)
        return exports, files

    def _check_account(self, session: Session, exports: Sequence[Export]) -> None:
        """Raises AnotherAccount if the warehouse was loaded by API, or has conversions of other affiliates only."""
        try:
            ((by_key,),) = session.query(f"SELECT count(*) FROM {DATASET}.{ACCOUNT}")  # noqa: S608 - names of ours
        except UndefinedTable:
            by_key = 0
        try:
            held = {str(id) for (id,) in session.query(AFFILIATES_HELD)}
        except UndefinedTable:
            held = set()
        shown = {
            str(id)
            for export in exports
            for name in ("affiliate_id", "affiliate__id")
            for id in export.values.get(name, ())
            if export.file.kind == CONVERSIONS and id is not None
        }
        if by_key or (held and shown and not held & shown):
            what = "was loaded by API" if by_key else "has conversions of other affiliates only"
            raise AnotherAccount(
                f"The warehouse {what}. Nothing was written.",
                advice="Use a separate warehouse for these exports (REFERSION_DUCKDB_PATH, or another database).",
            )

    def _load_empty(self, tables: Sequence[str]) -> None:
        """Creates the tables, so that all exist, and records which ones no export has."""
        report = self.loads.report
        for table in tables:
            if table not in EXPORTED:
                report.table(table).not_offered = NOT_EXPORTED
        # Each load takes a second, so only what does not exist yet.
        there = self.warehouse.row_counts(tables)
        if absent := [table for table in tables if table not in there]:
            self.loads.run(self.loads.refersion.export_source(None, report, absent), absent)
        without = {table: report.table(table) for table in tables if report.table(table).not_offered}
        for one in without.values():
            one.asked_at = datetime.now(UTC).replace(microsecond=0)
        keep_gaps(self.warehouse, without)

    def _load_one(self, export: Export, tables: Sequence[str]) -> None:
        """Loads one file, records what changed since the one before, and then that it is loaded."""
        file = export.file
        report = self.loads.report
        if file.kind == CONVERSIONS and self.warehouse.row_counts([CONVERSIONS]):
            self._check_rows(export)
        self.loads.run(self.loads.refersion.export_source(export, report, tables), tables)
        for table in tables:
            one = report.table(table)
            one.asked_at = file.made_at
            one.fields_missing = export.lacking(ENTITIES[table])
            one.why_missing = NO_COLUMN
            one.not_loaded = dict.fromkeys(export.unused, "not known: name its field in exports.yaml")
            one.warnings += export.notes if table == tables[0] else []
        if file.kind == CONVERSIONS:
            one = report.table(CONVERSIONS)
            one.read_from, one.read_to = min(filter(None, (one.read_from, file.start))), file.end
            one.spans.append(file.span)
            with self.warehouse.session() as session:
                session.query(MARK_GONE, made_at=file.made_at, start=file.start, end=file.end)
            added = update_history(self.warehouse, [file.span])
            self.context.log.info(f"{file.name}: {export.rows:,} conversions, {added:,} changes")
        else:
            self.context.log.info(f"{file.name}: {export.rows:,} affiliates")
            if "affiliates" in tables:
                mark_listed(self.warehouse, "affiliates", file.made_at)
        keep_gaps(self.warehouse, {table: report.table(table) for table in tables})
        with self.warehouse.session() as session, session.transaction():
            keep_loaded(session, file, tables, export.rows, self.settings)

    def _check_rows(self, export: Export) -> None:
        """Raises UnusableExport for rows that a later export showed, and for an export that is not complete."""
        file = export.file
        with self.warehouse.session() as session:
            period = {"start": file.start, "end": file.end}
            before = {str(id) for (id,) in session.query(SHOWN_BEFORE, made_at=file.made_at, **period)}
            later = {str(id) for (id,) in session.query(SHOWN_LATER, made_at=file.made_at)} & export.ids.keys()
        if later:
            raise UnusableExport(
                f"{file.name} has conversions that a later export, which is already loaded, has too ({min(later)}).",
                advice=f"Remove it from the folder. {NEW_WAREHOUSE}",
            )
        gone = before - export.ids.keys()
        if len(gone) > max(MOST_GONE, MOST_GONE_SHARE * len(before)):
            raise UnusableExport(
                f"{file.name} lacks {len(gone):,} of {len(before):,} approved conversions of its period that earlier "
                "exports have. Approved ones stay in exports, so it is filtered, or covers less than its name says.",
                advice="Export all conversions of the period, or name the period that it covers ('conversions from "
                "2026-04-01 to 2026-06-30 2026-07-01 0930.csv').",
            )

    def _describe_conversions(self) -> None:
        report = self.loads.report.table(CONVERSIONS)
        if "is_test_conversion" in report.fields_missing:
            report.warnings.append(TESTS)
        ((count, since),) = self.warehouse.query(NOT_READ_AGAIN)
        if count:
            report.warnings.append(
                f"{count:,} conversions that are pending or not paid were last exported on {since:%Y-%m-%d}, so they "
                "may have changed since. Export everything, not only what is new."
            )
        with self.warehouse.session() as session:
            spans = [one.span for one in list_loaded(session) if one.table == CONVERSIONS]
        if beginning := describe_beginning(spans, self.settings.zone):
            report.warnings.append(f"{beginning} {EXPORT_EVERYTHING}")

    def _compare_performance(self, files: Sequence[ExportFile]) -> None:
        report = self.loads.report.table(CONVERSIONS)
        with self.warehouse.session() as session:
            comparisons = compare_reports(session, files, self.settings)
        for one in comparisons:
            report.warnings += one.report.notes
            if one.not_compared or one.differing:
                report.warnings.append(one.describe())
            else:
                self.context.log.info(one.describe())

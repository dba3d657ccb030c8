"""Performance reports beside the conversions: `refersion_data._performance`, one row per report, affiliate and
currency."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.exports.folder import PERFORMANCE, ExportFile
from refersion_dagster.refersion.exports.mapping import ExportSettings
from refersion_dagster.refersion.exports.performance import Comparison, compare_report
from refersion_dagster.refersion.exports.reader import read_export
from refersion_dagster.warehouse.session import Session

TABLE = "_performance"
# Exact in every warehouse: BigQuery has no DECIMAL(38, 4).
MONEY = "text"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  file_name text NOT NULL, digest text NOT NULL, made_at timestamp with time zone NOT NULL,
  covers_from timestamp with time zone NOT NULL, covers_to timestamp with time zone NOT NULL,
  affiliate_id text NOT NULL, currency text NOT NULL, clicks bigint,
  conversions bigint, total {MONEY}, commission_total {MONEY},
  conversions_exported bigint, total_exported {MONEY}, commission_total_exported {MONEY},
  agrees boolean, not_compared text, compared_at timestamp with time zone NOT NULL
)
"""
COMPARED = f"SELECT DISTINCT file_name, digest FROM {DATASET}.{TABLE} WHERE not_compared IS NULL"  # noqa: S608
REMOVE = f"DELETE FROM {DATASET}.{TABLE} WHERE file_name = $file"  # noqa: S608 - names of ours
ADD = f"""
INSERT INTO {DATASET}.{TABLE} VALUES (
  $file, $digest, $made_at, $start, $end, $affiliate, $currency, $clicks,
  $conversions, $total, $commission, $conversions_exported, $total_exported, $commission_exported,
  $agrees, $not_compared, $now
)
"""  # noqa: S608 - names of ours


def compare_reports(session: Session, files: Sequence[ExportFile], settings: ExportSettings) -> list[Comparison]:
    """Compares every performance report that was not compared yet, and keeps the rows.

    Raises UnusableExport for a report that cannot be read; then nothing is kept.
    """
    reports = [file for file in files if file.kind == PERFORMANCE]
    if not reports:
        return []
    session.query(CREATE)
    compared = {(name, digest) for name, digest in session.query(COMPARED)}
    found = [
        compare_report(read_export(file, settings), files, lambda one: read_export(one, settings))
        for file in reports
        if (file.name, _digest(file, settings)) not in compared
    ]
    for comparison in found:
        with session.transaction():
            _keep(session, comparison, settings)
    return found


def _keep(session: Session, comparison: Comparison, settings: ExportSettings) -> None:
    file = comparison.report.file
    session.query(REMOVE, file=file.name)
    now = datetime.now(UTC).replace(microsecond=0)
    for row in comparison.rows:
        session.query(
            ADD,
            file=file.name,
            digest=_digest(file, settings),
            made_at=file.made_at,
            start=file.start,
            end=file.end,
            affiliate=row.affiliate_id,
            currency=row.currency,
            clicks=row.clicks,
            conversions=row.reported and row.reported.conversions,
            total=row.reported and str(row.reported.total),
            commission=row.reported and str(row.reported.commission_total),
            conversions_exported=row.exported and row.exported.conversions,
            total_exported=row.exported and str(row.exported.total),
            commission_exported=row.exported and str(row.exported.commission_total),
            agrees=row.agrees,
            not_compared=comparison.not_compared,
            now=now,
        )


def _digest(file: ExportFile, settings: ExportSettings) -> str:
    """Identifies the content and how it is read."""
    return hashlib.sha256(f"{file.digest} {settings.model_dump_json()}".encode()).hexdigest()

"""What an account does not offer: `refersion_data._not_offered`, maintained by every load.

A missing table or field leaves NULLs that look like any others. Summaries use this table to tell which of them mean
"not known on this account", see summaries/knowledge.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.extract.stats import TableReport
from refersion_dagster.refersion.tables.catalog import ENTITIES, Entity
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.session import Session

TABLE = "_not_offered"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  table_name text NOT NULL, column_name text, reason text NOT NULL, seen_at timestamp with time zone NOT NULL
)
"""
KNOWN = f"SELECT column_name, seen_at FROM {DATASET}.{TABLE} WHERE table_name = $table"  # noqa: S608 - names of ours
FORGET = f"DELETE FROM {DATASET}.{TABLE} WHERE table_name = $table"  # noqa: S608
ADD = f"INSERT INTO {DATASET}.{TABLE} VALUES ($table, $column, $reason, $seen_at)"  # noqa: S608

FIELD = "This account does not offer the field."
OLDER_ROWS = "The field is offered now, but rows that were last read earlier have no value for it."


def keep_gaps(warehouse: Warehouse, reports: Mapping[str, TableReport]) -> None:
    """Records what the tables just read lack."""
    with warehouse.session() as session:
        session.query(CREATE)
        for table, report in reports.items():
            if report.asked_at is not None:
                with session.transaction():
                    _keep(session, ENTITIES[table], report, report.asked_at)


def _keep(session: Session, entity: Entity, report: TableReport, asked_at: datetime) -> None:
    before = dict(session.query(KNOWN, table=entity.name))
    found: dict[str | None, tuple[str, datetime]] = {}
    if report.not_offered:
        found[None] = report.not_offered, asked_at
    for column in report.fields_missing:
        found[column] = report.why_missing or FIELD, asked_at
    for column, seen_at in before.items():
        if column is not None and column not in found and (report.not_offered or _has_older(session, entity, seen_at)):
            found[column] = (FIELD if report.not_offered else OLDER_ROWS), seen_at
    session.query(FORGET, table=entity.name)
    for column, (reason, seen_at) in found.items():
        session.query(ADD, table=entity.name, column=column, reason=reason, seen_at=seen_at)


def _has_older(session: Session, entity: Entity, seen_at: datetime) -> bool:
    """Whether the table contains rows that were last read when the field was not offered yet."""
    if not entity.windowed:
        return False
    there = "AND vanished_at IS NULL" if "vanished_at" in dict(session.columns(DATASET, entity.name)) else ""
    ((older,),) = session.query(
        f"SELECT count(*) FROM {DATASET}.{entity.name} WHERE read_at <= $seen_at {there}",  # noqa: S608
        seen_at=seen_at,
    )
    return bool(older)

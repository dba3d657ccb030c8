"""Applies conversions of events to `refersion_data.conversions`, if they are newer than the loaded rows."""

from __future__ import annotations

from refersion_dagster.ingest.history.conversions import update_history
from refersion_dagster.ingest.webhooks.tables import MOST_TURNS, SENT, STAGED
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import Warehouse

NAMES = tuple(column.name for column in SENT)

# If a row does not say when it changed, the time it was read counts.
NEWER = "(v.updated > c.updated OR (c.updated IS NULL AND (c.read_at IS NULL OR v.updated > c.read_at)))"

COUNT = f"""
SELECT count(*) FROM {DATASET}.{STAGED} AS v LEFT JOIN {DATASET}.conversions AS c ON c.id = v.id
WHERE v.turn = $turn AND (c.id IS NULL OR {NEWER})
"""  # noqa: S608 - names of ours

# An event lacks some columns of the table; their values are kept.
UPDATE = f"""
UPDATE {DATASET}.conversions AS c
SET {", ".join(f"{name} = coalesce(v.{name}, c.{name})" for name in NAMES if name != "id")},
  read_at = greatest(c.read_at, v.updated),
  vanished_at = CASE WHEN v.updated > c.vanished_at THEN NULL ELSE c.vanished_at END
FROM {DATASET}.{STAGED} AS v
WHERE v.id = c.id AND v.turn = $turn AND {NEWER}
"""  # noqa: S608

# DISTINCT, because dlt repeats a copy to the database if its response is lost.
INSERT = f"""
INSERT INTO {DATASET}.conversions ({", ".join(NAMES)}, read_at)
SELECT DISTINCT {", ".join(f"v.{name}" for name in NAMES)}, coalesce(v.updated, v.created)
FROM {DATASET}.{STAGED} AS v
WHERE v.turn = $turn AND NOT EXISTS (SELECT 1 FROM {DATASET}.conversions AS c WHERE c.id = v.id)
"""  # noqa: S608


def apply_conversions(warehouse: Warehouse) -> int:
    """Applies the conversions of the events that were just loaded, and records each state in the history.

    Idempotent. Returns how many events were newer than the loaded rows.
    """
    applied = 0
    for turn in range(1, MOST_TURNS + 1):
        with warehouse.session() as session:
            newer = int(session.query(COUNT, turn=turn)[0][0])
            if newer:
                with session.transaction():
                    session.query(UPDATE, turn=turn)
                    session.query(INSERT, turn=turn)
        if newer:
            update_history(warehouse, [])
        applied += newer
    return applied

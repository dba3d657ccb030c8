"""Cells of the control totals that still differed after being read again: `refersion_data._unsettled_totals`.

A cell is a month, status, payment status and currency. Each row stores the figures of both sides, and whether the
difference lasted: it counts as a difference only if two consecutive reads of rows and totals gave the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.session import Session

TABLE = "_unsettled_totals"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  month date NOT NULL, status text NOT NULL, payment_status text NOT NULL, currency text NOT NULL,
  said text NOT NULL, lasts boolean NOT NULL, totals_read_at timestamp with time zone NOT NULL
)
"""
KEPT = f"SELECT month, status, payment_status, currency, said FROM {DATASET}.{TABLE} WHERE lasts"  # noqa: S608 - ours
FORGET = f"DELETE FROM {DATASET}.{TABLE}"  # noqa: S608
ADD = f"""
INSERT INTO {DATASET}.{TABLE} VALUES ($month, $status, $payment_status, $currency, $said, $lasts, $read_at)
"""  # noqa: S608
# A row is valid only for the totals read at that time, not for later ones.
NOT_SETTLED = f"""
SELECT month, status, payment_status, currency, CAST(extract(epoch FROM totals_read_at) AS BIGINT)
FROM {DATASET}.{TABLE}
WHERE NOT lasts
ORDER BY month, status, payment_status, currency
"""  # noqa: S608


@dataclass(frozen=True)
class TotalsCell:
    """A month, status, payment status and currency of the control totals."""

    month: date
    status: str
    payment_status: str
    currency: str

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.status} {self.payment_status} {self.currency}"


@dataclass(frozen=True)
class CellFigures:
    """The figures of both sides for a cell, each as count, commission and order total, and the time of the read.

    Compare `figures` to ignore the time of the read.
    """

    theirs: tuple[int, Decimal, Decimal]
    ours: tuple[int, Decimal, Decimal]
    read_at: datetime

    def __str__(self) -> str:
        return " ".join(f"{figure:f}" if isinstance(figure, Decimal) else f"{figure}" for figure in self.figures)

    @property
    def figures(self) -> tuple[int | Decimal, ...]:
        return (*self.theirs, *self.ours)


def read_lasting(session: Session) -> dict[TotalsCell, str]:
    """The stored lasting differences, with the figures of both sides."""
    session.query(CREATE)
    return {TotalsCell(*row[:4]): row[4] for row in session.query(KEPT)}


def keep(session: Session, lasting: Mapping[TotalsCell, CellFigures], moving: Mapping[TotalsCell, CellFigures]) -> None:
    """Stores the cells that differ now, replacing the previous ones."""
    session.query(CREATE)
    with session.transaction():
        session.query(FORGET)
        for found, lasts in ((lasting, True), (moving, False)):
            for cell, sides in found.items():
                session.query(ADD, **vars(cell), said=str(sides), lasts=lasts, read_at=sides.read_at)


def describe_unsettled(session: Session) -> str:
    """The cells that kept changing, as the text that control_totals.sql searches."""
    if not session.columns(DATASET, TABLE):
        return ""
    found = session.query(NOT_SETTLED)
    return "".join(f";{month} {' '.join(map(str, rest))}" for month, *rest in found) + (";" if found else "")

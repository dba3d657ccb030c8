"""Facts about an account that were found by trial: `refersion_data._findings`, one row per question, kept forever.

Delete the row of a question to make the next load ask it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.session import Session

TABLE = "_findings"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  question text NOT NULL, answer text NOT NULL, evidence text NOT NULL, found_at timestamp with time zone NOT NULL
)
"""
KNOWN = f"SELECT answer, evidence, found_at FROM {DATASET}.{TABLE} WHERE question = $question"  # noqa: S608 - ours
FORGET = f"DELETE FROM {DATASET}.{TABLE} WHERE question = $question"  # noqa: S608
ADD = f"INSERT INTO {DATASET}.{TABLE} VALUES ($question, $answer, $evidence, $found_at)"  # noqa: S608


@dataclass(frozen=True)
class AccountFinding:
    """The answer to a question, its evidence, and when it was found."""

    answer: str
    evidence: str
    found_at: datetime


def read_finding(session: Session, question: str) -> AccountFinding | None:
    """The stored answer. None if the question was not asked yet."""
    session.query(CREATE)
    rows = session.query(KNOWN, question=question)
    return AccountFinding(*rows[0]) if rows else None


def remember(session: Session, question: str, answer: str, evidence: str) -> AccountFinding:
    """Stores an answer, replacing an earlier one."""
    found = AccountFinding(answer, evidence, datetime.now(UTC).replace(microsecond=0))
    session.query(CREATE)
    with session.transaction():
        session.query(FORGET, question=question)
        session.query(ADD, question=question, answer=answer, evidence=evidence, found_at=found.found_at)
    return found


def delete_finding(session: Session, question: str) -> None:
    """Deletes the answer, so that the next load asks again."""
    session.query(CREATE)
    session.query(FORGET, question=question)

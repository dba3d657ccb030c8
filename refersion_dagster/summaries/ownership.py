"""Keeps the summaries of only one account in a schema: two accounts would replace each other's tables."""

from __future__ import annotations

from collections.abc import Mapping

from refersion_dagster.errors import ReportedError
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.warehouse.session import Session

# A table in the schema of the summaries, with one row: the schema of the raw tables that they are built from.
TABLE = "_built_from"


class SummariesOfAnotherAccount(ReportedError):
    """The schema holds summaries that are built from other raw tables. Nothing was written."""


def own_summaries(session: Session, schemas: Mapping[str, str]) -> None:
    """Reserves the schema of the summaries for an account, at its first build.

    Args:
        schemas: names of schemas in the database by their usual names; see Warehouse.schemas.

    Raises SummariesOfAnotherAccount if another account has it.
    """
    if not schemas or check_owner(session, schemas):
        return
    session.create_schema(SUMMARIES)
    session.native(f"CREATE TABLE {session.table(SUMMARIES, TABLE)} AS SELECT '{schemas[DATASET]}' AS data_schema")


def check_owner(session: Session, schemas: Mapping[str, str]) -> bool:
    """Returns whether the account has the schema of its summaries already. Raises SummariesOfAnotherAccount."""
    if TABLE not in session.tables(SUMMARIES):
        return False
    ((owner,),) = session.query(f"SELECT data_schema FROM {SUMMARIES}.{TABLE}")  # noqa: S608 - names of ours
    if owner != schemas[DATASET]:
        raise SummariesOfAnotherAccount(
            f"The schema {schemas[SUMMARIES]} has the summaries of another account, built from the schema {owner}, and "
            f"this account's raw tables are in {schemas[DATASET]}. Nothing was written. Set summaries_schema to a name "
            f"of this account only. If it replaces {owner}, drop the table {schemas[SUMMARIES]}.{TABLE}."
        )
    return True

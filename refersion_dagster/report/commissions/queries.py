"""The queries of the report: each file in sql/ is one SELECT, which reads only summaries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, TypeVar

from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.macros import MACROS
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql import Value, bind
from refersion_dagster.warehouse.sql_file import SqlFile, SqlHeader, read_folder

Row = TypeVar("Row")


@cache
def queries() -> dict[str, SqlFile[SqlHeader]]:
    """Returns the queries by name. Raises SqlFileError at the first error."""
    return {file.name: file for file in read_folder("refersion_dagster.report.commissions", SqlHeader, MACROS)}


def find_summaries(known: Collection[str]) -> tuple[str, ...]:
    """Returns the names of the summaries that the report reads. Raises SqlFileError for an unknown one."""
    tables = {table for file in queries().values() for _, table in file.tables({SUMMARIES: known})}
    return tuple(sorted(tables))


def rows(session: Session, query: str, row: type[Row], **values: Value) -> list[Row]:
    """Returns the rows of a query as dataclasses whose fields are its columns."""
    file = queries()[query]
    needed = {name: values[name] for name in file.parameters}
    found: Sequence[tuple[Any, ...]] = session.query(bind(file.tree, needed))
    return [row(**dict(zip(file.columns, values_, strict=True))) for values_ in found]

"""A check's file: one SELECT that gives the rows which should not be there.

/*
asset: summaries/payment_proof
description: what has to hold
meaning: what it means for the reader when it does not
blocking: false
severity: error
*/
SELECT …
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.macros import MACROS
from refersion_dagster.summaries.settings import PARAMETERS
from refersion_dagster.warehouse.sql_file import SqlFile, SqlFileError, SqlHeader, read, read_folder


class CheckHeader(SqlHeader):
    """What the file says of its check.

    Args:
        asset: the asset that is checked, as `summaries/<table>` or `refersion/<table>`.
        blocking: whether a failure keeps what stands on the asset from being rebuilt.
        severity: an error is a wrong figure, a warning something to look at.
    """

    asset: str
    meaning: str
    blocking: bool = False
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True)
class SqlCheck:
    """One check.

    Args:
        file: the file it was read from; its name is the check's.
        checked: schema and table of the asset that is checked.
        depends_on: (schema, table) pairs it reads.
    """

    file: SqlFile[CheckHeader]
    checked: tuple[str, str]
    depends_on: tuple[tuple[str, str], ...]


def load_checks(known: Mapping[str, Collection[str]]) -> list[SqlCheck]:
    """All checks.

    Args:
        known: the tables that there are, by schema.

    Raises SqlFileError at the first mistake.
    """
    return [checked(file, known) for file in read_folder("refersion_dagster.checks", CheckHeader, MACROS)]


def parse(text: str, path: str, known: Mapping[str, Collection[str]]) -> SqlCheck:
    """Reads a file's text. Raises SqlFileError with file and line."""
    return checked(read(text, path, CheckHeader, MACROS), known)


def checked(file: SqlFile[CheckHeader], known: Mapping[str, Collection[str]]) -> SqlCheck:
    """The check of a file, validated against the existing tables. Raises SqlFileError."""
    prefix, _, table = file.header.asset.partition("/")
    schema = {"refersion": DATASET, "summaries": SUMMARIES}.get(prefix, "")
    if table not in known.get(schema, ()):
        raise SqlFileError(f"{file.path}:1: there is no asset {file.header.asset}.")
    for name in file.parameters:
        if name not in PARAMETERS:
            raise SqlFileError(f"{file.path}:1: there is no setting ${name}; available are {', '.join(PARAMETERS)}.")
    return SqlCheck(file, (schema, table), file.tables(known))

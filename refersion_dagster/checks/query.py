"""Reads a check's file: one SELECT that returns the offending rows.

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
from refersion_dagster.summaries.settings import SETTINGS
from refersion_dagster.warehouse.sql_file import SqlFile, SqlFileError, SqlHeader, read, read_folder


class CheckHeader(SqlHeader):
    """The header of a check's file.

    Args:
        asset: the asset that is checked, as `summaries/<table>` or `refersion/<table>`.
        blocking: whether a failure blocks the rebuild of downstream assets.
        severity: an error means a wrong figure, a warning something to review.
    """

    asset: str
    meaning: str
    blocking: bool = False
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True)
class SqlCheck:
    """One check.

    Args:
        file: the file it was read from; it has the check's name.
        checked: schema and table of the asset that is checked.
        depends_on: (schema, table) pairs it reads.
    """

    file: SqlFile[CheckHeader]
    checked: tuple[str, str]
    depends_on: tuple[tuple[str, str], ...]


def load_checks(known: Mapping[str, Collection[str]]) -> list[SqlCheck]:
    """Returns all checks.

    Args:
        known: existing tables, by schema.

    Raises SqlFileError at the first error.
    """
    return [validate_check(file, known) for file in read_folder("refersion_dagster.checks", CheckHeader, MACROS)]


def parse(text: str, path: str, known: Mapping[str, Collection[str]]) -> SqlCheck:
    """Reads a file's text. Raises SqlFileError with file and line."""
    return validate_check(read(text, path, CheckHeader, MACROS), known)


def validate_check(file: SqlFile[CheckHeader], known: Mapping[str, Collection[str]]) -> SqlCheck:
    """Returns the check of a file after validating it against the existing tables. Raises SqlFileError."""
    prefix, _, table = file.header.asset.partition("/")
    schema = {"refersion": DATASET, "summaries": SUMMARIES}.get(prefix, "")
    if table not in known.get(schema, ()):
        raise SqlFileError(f"{file.path}:1: there is no asset {file.header.asset}.")
    for name in file.parameters:
        if name not in SETTINGS:
            raise SqlFileError(f"{file.path}:1: there is no setting ${name}; available are {', '.join(SETTINGS)}.")
    return SqlCheck(file, (schema, table), file.tables(known))

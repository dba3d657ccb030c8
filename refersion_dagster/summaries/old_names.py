"""Repeats renamed columns under their old names for one release.

    renamed:
      approved_at_source: approved_by

The old names are the table's last columns, have the needs of the renamed column, and are left out of CSV copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import sqlglot
from sqlglot import exp

from refersion_dagster.warehouse.sql import DIALECT
from refersion_dagster.warehouse.sql_file import SqlFile, SqlFileError, SqlHeader

HeaderType = TypeVar("HeaderType", bound=SqlHeader)


def description(new: str) -> str:
    """Returns the catalog description of a column under its old name."""
    return f"Old name of {new}; goes in the next release."


def add_old_names(file: SqlFile[HeaderType], renamed: Mapping[str, str]) -> SqlFile[HeaderType]:
    """Returns the file with the columns of `renamed` (new name to old name) repeated at the end of its SELECT.

    Raises SqlFileError with file and line.
    """
    query = file.tree
    columns = {one.alias_or_name: one for one in query.selects}
    for new, old in renamed.items():
        wrong = ""
        if not isinstance(query, exp.Select):
            wrong = "renamed needs one last SELECT, without UNION"
        elif new not in columns:
            wrong = f"renamed names {new}, which the SELECT does not give ({', '.join(columns)})"
        elif old in columns:
            wrong = f"renamed says that {old} is an old name, but it is a column of its own"
        elif list(renamed.values()).count(old) > 1:
            wrong = f"renamed gives the old name {old} to two columns"
        if wrong:
            raise SqlFileError(f"{file.path}:{file.line_of(old, 'renamed')}: {wrong}.")
    added = "".join(
        f",\n  {columns[new].unalias().sql(DIALECT, comments=False)} AS {old}" for new, old in renamed.items()
    )
    # Insert after the last column's name; the parser records its position.
    last = query.selects[-1]
    end = int((last.args["alias"] if isinstance(last, exp.Alias) else last.this).meta["end"]) + 1
    select, line = file.select[:end] + added + file.select[end:], file.select.count("\n", 0, end)
    return replace(
        file,
        select=select,
        tree=sqlglot.parse_one(select, dialect=DIALECT, into=exp.Select),
        columns=(*file.columns, *renamed.values()),
        lines=(*file.lines[:line], *[file.lines[line]] * (len(renamed) + 1), *file.lines[line + 1 :]),
    )

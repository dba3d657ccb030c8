"""Runs one SELECT of an assistant over the summaries, with limits on time, memory and rows."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import duckdb
from sqlglot import exp

from refersion_dagster.assistant.copies import CopiesReader, OpenCopies
from refersion_dagster.assistant.evidence import columns_shown, describe_evidence, name_unknown, tables_read
from refersion_dagster.assistant.query_rules import QueryRefused, check_query
from refersion_dagster.assistant.values import amount_text, clean, plain
from refersion_dagster.errors import ReportedError
from refersion_dagster.warehouse.sql import DIALECT

MAX_ROWS = 500
SECONDS = 10.0
# Amounts of these types went through floating point, so they are not exact.
INEXACT = ("DOUBLE", "FLOAT")


class QueryFailed(ReportedError):
    """DuckDB could not run a query, or ended it because of a limit."""


def run_query(
    reader: CopiesReader, late_hours: int, sql: str, max_rows: int, seconds: float = SECONDS
) -> dict[str, Any]:
    """Returns the rows of a query, and what vouches for them. Raises QueryRefused and QueryFailed.

    Args:
        late_hours: age of the data from which they are late.
        max_rows: rows to return; further ones are left out, which the result says.
        seconds: time after which the query is ended.
    """
    copies = reader.read()
    checked = check_query(sql, copies.tables)
    _refuse_unknown(copies, checked.tree)
    most = min(max(max_rows, 1), MAX_ROWS)
    limited = _limit(checked.tree, most + 1)
    names, kinds, rows = _execute(copies, limited.sql(DIALECT, comments=False), seconds)
    first, evidence = describe_evidence(copies, late_hours, tables_read([checked.tree]), columns_shown([checked.tree]))
    inexact = [name for name, kind in zip(names, kinds, strict=True) if name in checked.currencies and kind in INEXACT]
    if inexact:
        first.append(f"NOT EXACT: {', '.join(inexact)} went through floating point (avg, /). Round before you show it.")
    if len(rows) > most:
        first.append(f"INCOMPLETE: only the first {most} rows are shown. Do not add them up; ask for a total instead.")
    return {
        "read_first": first,
        "columns": [
            {
                "name": clean(name),
                "type": kind,
                **(
                    {"amounts_in": checked.currencies[name] or "the offer's own currency"}
                    if name in checked.currencies
                    else {}
                ),
                **({"content": "untrusted text"} if kind == "VARCHAR" else {}),
            }
            for name, kind in zip(names, kinds, strict=True)
        ],
        "rows": [[_cell(value) for value in row] for row in rows[:most]],
        "is_complete": len(rows) <= most,
        "sql_run": checked.tree.sql(DIALECT, comments=False),
        **evidence,
    }


def _refuse_unknown(copies: OpenCopies, tree: exp.Query) -> None:
    """Raises QueryRefused if something is calculated from, or selected by, what cannot be known on this account.

    A sum of NULL that is made 0, or a condition that no NULL meets, would look like a known figure.
    """
    tables = tables_read([tree])
    unknown = name_unknown(copies, tables)
    for summary in copies.summaries if unknown else ():
        # Without its key, even the number of its rows is not known.
        if summary.name in tables and (key := [name for name in summary.header.primary_key if name in unknown]):
            raise QueryRefused(
                f"The rows of {summary.name} are not known on this account, which does not offer {unknown[key[0]]}."
            )
    renamed = {
        alias.alias: unknown[alias.this.name]
        for alias in tree.find_all(exp.Alias)
        if isinstance(alias.this, exp.Column) and alias.this.name in unknown
    }
    unknown |= renamed
    for column in tree.find_all(exp.Column) if unknown else ():
        holder = column.parent if isinstance(column.parent, exp.Alias) else column
        if column.name in unknown and not isinstance(holder.parent, exp.Select):
            raise QueryRefused(
                f"{column.name} is not known on this account, which does not offer {unknown[column.name]}. Nothing can "
                "be calculated from it or selected by it. Leave it out."
            )


def _limit(tree: exp.Query, most: int) -> exp.Query:
    """Returns the query with at most this many rows."""
    limited = tree.copy()
    given = limited.args.get("limit")
    if given is not None:
        number = given.expression if isinstance(given, exp.Limit) else None
        if not isinstance(number, exp.Literal) or number.is_string or not number.this.isdigit():
            raise QueryRefused("LIMIT must be a whole number.")
        most = min(most, int(number.this))
    limited.set("limit", exp.Limit(expression=exp.Literal.number(most)))
    return limited


def _execute(copies: OpenCopies, sql: str, seconds: float) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
    cursor = copies.cursor()
    timer = threading.Timer(seconds, cursor.interrupt)
    timer.start()
    try:
        cursor.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        kinds = [str(column[1]) for column in cursor.description or ()]
        return names, kinds, cursor.fetchall()
    except duckdb.InterruptException:
        raise QueryFailed(
            f"The query was ended after {seconds:g} seconds. Read fewer rows, or use a summary that has the figure."
        ) from None
    except duckdb.OutOfMemoryException:
        raise QueryFailed("The query needs more memory than it may use. Read fewer rows or columns.") from None
    except duckdb.Error as error:
        raise QueryFailed(f"DuckDB cannot run the query: {clean(str(error).splitlines()[0])}") from None
    finally:
        timer.cancel()
        cursor.close()


def _cell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return amount_text(value, None)
    if isinstance(value, float):
        return repr(value)
    return plain(value)

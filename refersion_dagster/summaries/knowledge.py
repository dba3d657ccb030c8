"""Finds the columns of a summary that need a raw field which the account does not offer.

A column needs every optional raw field that its lineage reaches, unless its file's header decides otherwise:

    needs:
      paid_at: conversions.payment__created | payments.created
      reversal_rate: [conversions.order_id, conversions.type]
      affiliate_name: []
    kept: [affiliate_id]

    states:
      approval_rate: [conversions.DENIED]

`|` separates alternatives, a list contains fields that are all needed, and an empty list means that the column is
always valid. The needs of `*` are added to the lineage of every column that is neither named nor part of the primary
key. `states` adds to either: rows in these states have to be shown. CSV exports leave denied conversions out.

A column whose needs are not met is NULL, and so are the columns of other summaries that are derived from it. Columns
that are kept, and those of the primary key, are not NULL themselves because other columns use them, but their needs
still apply to those columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from refersion_dagster.ingest.gaps import TABLE
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import ENTITIES, READ_AT, FieldSource
from refersion_dagster.summaries.lineage import column_sources
from refersion_dagster.summaries.query import Need, Summary, find_mentioned_fields
from refersion_dagster.warehouse.session import Session, UndefinedTable

EVERY = "*"
# Fields that an account lacks: (table, column), or (table, None) for a whole table.
Gaps = frozenset[tuple[str, str | None]]
NONE: Gaps = frozenset()
GAPS = f"SELECT DISTINCT table_name, column_name FROM {DATASET}.{TABLE}"  # noqa: S608 - names of ours
GAP_REASONS = f"""
SELECT table_name, column_name, min(reason) FROM {DATASET}.{TABLE}
GROUP BY table_name, column_name ORDER BY table_name, column_name
"""  # noqa: S608 - names of ours
HASH_OF = {(e.name, c.name): c.digest_of for e in ENTITIES.values() for c in e.columns if c.digest_of}


@dataclass(frozen=True)
class GapReason:
    """A table (`column` is None) or a field that the account does not offer, and why."""

    table: str
    column: str | None
    reason: str


@dataclass(frozen=True)
class UnknownColumn:
    """A column of a summary that cannot be known on an account.

    Args:
        lacking: description of what the account does not offer.
        is_null: whether it is therefore NULL; a kept column has whatever is known.
    """

    lacking: str
    is_null: bool


def load_gaps(session: Session) -> Gaps:
    """Returns the gaps that the loads recorded."""
    try:
        return frozenset((table, column) for table, column in session.query(GAPS))
    except UndefinedTable:  # nothing was loaded since gaps are recorded
        return NONE


def load_gap_reasons(session: Session) -> list[GapReason]:
    """Returns the gaps that the loads recorded, with their reasons."""
    try:
        return [GapReason(table, column, reason) for table, column, reason in session.query(GAP_REASONS)]
    except UndefinedTable:  # nothing was loaded since gaps are recorded
        return []


def describe_gaps(gaps: Gaps) -> str:
    """Describes everything that an account does not offer; empty if it offers everything."""
    return describe_needs(gaps, [frozenset({(table, column or "")}) for table, column in gaps])


def is_optional(table: str, column: str) -> bool:
    """Whether an account may lack a raw field. Fields that loading conversions requires are not optional."""
    entity = ENTITIES.get(table)
    found = next((one for one in entity.columns if one.name == column), None) if entity else None
    if entity is None or found is None:
        return False
    ours = found.evidence is FieldSource.OURS and not found.digest_of
    return not (entity.needed and (found.required or ours or column == "status" or found is READ_AT))


def is_lacking(gaps: Gaps, table: str, column: str) -> bool:
    return bool({(table, None), (table, column), (table, HASH_OF.get((table, column), column))} & gaps)


def needs_of(summary: Summary) -> Mapping[str, frozenset[Need]]:
    """Returns the needs of each column, from its header or else from its lineage."""
    if summary.name not in summary.derived:
        summary.derived[summary.name] = dict(_needs(summary))
    return summary.derived[summary.name]


def _needs(summary: Summary) -> Iterable[tuple[str, frozenset[Need]]]:
    declared, states, key = summary.needs, summary.states, summary.header.primary_key
    sources = column_sources(summary, summary.reads.values())
    for column in summary.columns:
        if column in declared:
            yield column, declared[column] | states.get(column, frozenset())
        else:
            found: set[Need] = set() if column in key else set(declared.get(EVERY, ()))
            for schema, table, name in sources[column]:
                if schema != DATASET:
                    found |= needs_of(summary.reads[table])[name]
                elif is_optional(table, name):
                    found.add(frozenset({(table, name)}))
            yield column, frozenset(found) | states.get(column, frozenset())


def is_kept(summary: Summary, column: str) -> bool:
    return column in summary.header.kept or column in summary.header.primary_key


def find_unknown_columns(summary: Summary, gaps: Gaps) -> dict[str, UnknownColumn]:
    """Returns the columns whose needs an account does not meet."""
    if not gaps:
        return {}
    found: dict[str, UnknownColumn] = {}
    for column, needs in needs_of(summary).items():
        unmet = [need for need in needs if all(is_lacking(gaps, *one) for one in need)]
        if unmet:
            found[column] = UnknownColumn(describe_needs(gaps, unmet), not is_kept(summary, column))
    return found


def lacking_fields(summary: Summary, gaps: Gaps) -> str:
    """Describes the fields that are not offered but used by the summary or by one that it reads."""
    used = {(table, column) for table, column in find_mentioned_fields(summary) if is_optional(table, column)}
    return describe_needs(gaps, [frozenset({one}) for one in used if is_lacking(gaps, *one)])


def describe_needs(gaps: Gaps, unmet: Iterable[Need]) -> str:
    """Names what is lacking: a missing table by its name, fields of conversions without a table name."""
    names = sorted(
        {
            table if (table, None) in gaps else column if table == "conversions" else f"{table}.{column}"
            for need in unmet
            for table, column in need
        }
    )
    return ", ".join(names)


def without_unknown(summary: Summary, unknown: Mapping[str, UnknownColumn]) -> exp.Query:
    """Returns the SELECT with a NULL of the same type for each column that cannot be known."""
    hidden = {column for column, one in unknown.items() if one.is_null}
    if not hidden:
        return summary.file.tree
    known = exp.Subquery(this=summary.file.tree.copy(), alias=exp.TableAlias(this=exp.to_identifier("known")))
    return exp.select(*(_null(name) if name in hidden else exp.column(name) for name in summary.columns)).from_(known)


def _null(column: str) -> exp.Expr:
    nothing = exp.Case(ifs=[exp.If(this=exp.false(), true=exp.column(column))])
    return exp.alias_(nothing, column)

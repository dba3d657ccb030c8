"""Reads a summary's file: one SELECT under a header that describes the table.

/*
group: sales
description: …
macros: [share]
grain: one row per …
primary_key: [affiliate_id, currency]
owners: [team:data]
questions:
  - Who drove the sales?
columns:
  orders: …
renamed:
  approved_at_source: approved_by
sums:
  commission_due: due
plot: {x: day, y: sales, by: currency}
needs:
  commission_due: conversions.payment_status | conversions.payment__created
*/
SELECT …
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlglot import exp

from refersion_dagster.errors import ReportedError
from refersion_dagster.ingest.specs import MAINTAINED
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import ENTITIES, name_state
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.macros import MACROS
from refersion_dagster.summaries.measures import measure_names
from refersion_dagster.summaries.old_names import add_old_names, description
from refersion_dagster.summaries.settings import PARAMETERS
from refersion_dagster.warehouse.sql_file import SqlFile, SqlFileError, SqlHeader, read, read_folder

# Groups of the shipped summaries, and the group of own summaries that name none.
GROUPS = ("core", "sales", "owed", "review", "proof")
CUSTOM = "custom"
# When Refersion was last read, which published copies state.
AS_OF = "data_as_of"

# Column names of each raw table that a summary may read.
RAW_COLUMNS: dict[str, tuple[str, ...]] = {
    **{name: tuple(column.name for column in entity.columns) for name, entity in ENTITIES.items()},
    **{name: tuple(column.name for column in columns) for name, (_, columns, _) in MAINTAINED.items()},
}


# Dagster accepts no other owners.
OWNER = re.compile(r"team:\S+|[^@\s]+@[^@\s]+\.[^@\s]+")


def _owner(value: str) -> str:
    if not OWNER.fullmatch(value):
        raise ValueError(f"{value!r} is not an e-mail address or a team, such as team:data")
    return value


class Plot(BaseModel):
    """A plot in the asset's metadata: column `y` over column `x`, one line for each value of column `by`."""

    model_config = ConfigDict(extra="forbid")

    x: str
    y: str
    by: str | None = None


class SummaryHeader(SqlHeader):
    """The header of a summary's file.

    Args:
        group: the asset's group; one of GROUPS for the shipped summaries.
        renamed: old column names by new ones; see old_names.py.
        sums: columns whose sums per currency must equal a measure of the raw rows; see measures.py.
        needs, states, kept: raw fields and rows that columns need; see knowledge.py.
    """

    group: str = Field(default=CUSTOM, pattern=r"^[a-z][a-z0-9_]*$")
    grain: str
    primary_key: list[str] = Field(min_length=1)
    owners: list[Annotated[str, AfterValidator(_owner)]] = Field(min_length=1)
    questions: list[str] = Field(min_length=1)
    columns: dict[str, str] = Field(default_factory=dict)
    renamed: dict[str, str] = Field(default_factory=dict)
    sums: dict[str, str] = Field(default_factory=dict)
    plot: Plot | None = None
    needs: dict[str, str | list[str]] = Field(default_factory=dict)
    states: dict[str, list[str]] = Field(default_factory=dict)
    kept: list[str] = Field(default_factory=list)


class UnknownSummary(ReportedError):
    """A selection names a summary that does not exist."""


# Alternative raw fields, as (table, column); one is enough.
Need = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Summary:
    """One summary.

    Args:
        file: the file it was read from.
        depends_on: (schema, table) pairs it reads.
        reads: the summaries among them, by name.
        derived: cache of values derived from this summary and those that it reads.
    """

    file: SqlFile[SummaryHeader]
    depends_on: tuple[tuple[str, str], ...] = ()
    reads: Mapping[str, Summary] = field(default_factory=dict, compare=False, repr=False)
    derived: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def needs(self) -> dict[str, frozenset[Need]]:
        """The needs that the header declares, by column."""
        return {
            column: frozenset(_need(one) for one in ([said] if isinstance(said, str) else said))
            for column, said in self.header.needs.items()
        }

    @property
    def states(self) -> dict[str, frozenset[Need]]:
        """The states that rows of raw tables have to be shown in, by column. Each is a need too."""
        return {
            column: frozenset(
                frozenset({(table, name_state(status))}) for table, _, status in (one.partition(".") for one in said)
            )
            for column, said in self.header.states.items()
        }

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def header(self) -> SummaryHeader:
        return self.file.header

    @property
    def columns(self) -> tuple[str, ...]:
        return self.file.columns


def load_summaries(*names: str) -> list[Summary]:
    """Returns all summaries, or those with these names, in the order of `in_order`. Cached: reading takes a second.

    Raises SqlFileError at the first error.
    """
    return list(_load(names))


def select_summaries(names: Collection[str], every: Sequence[Summary]) -> list[Summary]:
    """Returns these summaries and all that they read, in order. Raises UnknownSummary.

    Args:
        every: all summaries, in order.
    """
    if unknown := sorted(set(names) - {summary.name for summary in every}):
        raise UnknownSummary(
            f"There is no summary {', '.join(unknown)}. There are {', '.join(sorted(one.name for one in every))}."
        )
    wanted = {*names, AS_OF}
    # Each comes after those that it reads.
    for summary in reversed(every):
        if summary.name in wanted:
            wanted |= summary.reads.keys()
    return [summary for summary in every if summary.name in wanted]


@cache
def _load(names: tuple[str, ...]) -> tuple[Summary, ...]:
    return tuple(
        sort_by_dependency(
            map(validate_summary, read_folder("refersion_dagster.summaries", SummaryHeader, MACROS, names))
        )
    )


def parse(text: str, path: str) -> Summary:
    """Reads a file's text. Raises SqlFileError with file and line."""
    return validate_summary(read(text, path, SummaryHeader, MACROS))


def validate_summary(file: SqlFile[SummaryHeader]) -> Summary:
    """Returns the summary of a file after validating its header against its SELECT. Raises SqlFileError."""
    header = file.header
    plotted = [header.plot.x, header.plot.y, header.plot.by] if header.plot else []
    for name, where in [
        *((name, "primary_key") for name in header.primary_key),
        *((name, "columns") for name in header.columns),
        *((name, "sums") for name in header.sums),
        *((name, "plot") for name in plotted if name),
        *((name, "needs") for name in header.needs if name != "*"),
        *((name, "states") for name in header.states),
        *((name, "kept") for name in header.kept),
    ]:
        if name not in file.columns:
            raise SqlFileError(
                f"{file.path}:1: {where} names {name}, which is not a column of the SELECT ({', '.join(file.columns)})."
            )
    for measure in header.sums.values():
        if measure not in measure_names():
            raise SqlFileError(
                f"{file.path}:1: sums names {measure}; available measures are {', '.join(measure_names())}."
            )
    for name in file.parameters:
        if name not in PARAMETERS:
            raise SqlFileError(f"{file.path}:1: there is no setting ${name}; available are {', '.join(PARAMETERS)}.")
    return Summary(_with_old_names(file))


def _with_old_names(file: SqlFile[SummaryHeader]) -> SqlFile[SummaryHeader]:
    """Returns the file with renamed columns repeated under their old names, with the same needs and `kept`."""
    header, renamed = file.header, file.header.renamed
    if not renamed:
        return file
    columns = {old: description(new) for new, old in renamed.items()}
    needs = {old: header.needs[new] for new, old in renamed.items() if new in header.needs}
    states = {old: header.states[new] for new, old in renamed.items() if new in header.states}
    kept = [old for new, old in renamed.items() if new in header.kept]
    update = {
        "columns": header.columns | columns,
        "needs": header.needs | needs,
        "states": header.states | states,
        "kept": [*header.kept, *kept],
    }
    return replace(add_old_names(file, renamed), header=header.model_copy(update=update))


def _need(text: str) -> Need:
    """Parses alternatives such as `conversions.payment_id | conversions.payment__id`."""
    return frozenset(
        (table.strip(), column.strip()) for table, _, column in (one.partition(".") for one in text.split("|"))
    )


def _check_needs(summary: Summary) -> None:
    """Raises SqlFileError if a needed raw field is used neither by the summary nor by one that it reads."""
    for needs in summary.needs.values():
        for table, column in (one for need in needs for one in need):
            if column not in RAW_COLUMNS.get(table, ()):
                wrong = f"needs names {table}.{column}, which is not a raw column"
            elif (table, column) not in find_mentioned_fields(summary):
                wrong = f"needs names {table}.{column}, which neither this SELECT nor a summary that it reads uses"
            else:
                continue
            raise SqlFileError(f"{summary.file.path}:{summary.file.line_of(column, 'needs')}: {wrong}.")


def find_mentioned_fields(summary: Summary) -> frozenset[tuple[str, str]]:
    """Returns the raw fields that a summary, or one that it reads, uses anywhere."""
    if "mentioned" not in summary.derived:
        names = {column.name for column in summary.file.tree.find_all(exp.Column)}
        own = {
            (table, name) for schema, table in summary.depends_on if schema == DATASET for name in RAW_COLUMNS[table]
        }
        found = {(table, name) for table, name in own if name in names or summary.file.tree.find(exp.Star)}
        summary.derived["mentioned"] = frozenset(found.union(*map(find_mentioned_fields, summary.reads.values())))
    return summary.derived["mentioned"]


def list_tables(summaries: Iterable[str]) -> dict[str, Collection[str]]:
    """Returns the tables that SQL may read, by schema: the raw tables and these summaries."""
    return {DATASET: RAW_COLUMNS.keys(), SUMMARIES: frozenset(summaries)}


def sort_by_dependency(summaries: Iterable[Summary], sorted_before: Iterable[Summary] = ()) -> list[Summary]:
    """Sorts summaries so that each comes after those it reads.

    Args:
        sorted_before: sorted summaries that these may read, and that read none of these.

    Raises SqlFileError for a summary that does not exist, or a cycle.
    """
    given = {summary.name: summary for summary in summaries}
    whole = {summary.name: summary for summary in sorted_before}
    known = list_tables({**whole, **given})
    tables = {name: summary.file.tables(known) for name, summary in given.items()}
    read = {name: [table for schema, table in found if schema == SUMMARIES] for name, found in tables.items()}
    within = {name: [table for table in found if table in given] for name, found in read.items()}
    try:
        order = [*TopologicalSorter(within).static_order()]
    except CycleError as error:
        circle = sorted(set(error.args[1]))
        file = given[circle[0]].file
        line = min(file.find_table_line(SUMMARIES, table) for table in circle if table in read[circle[0]])
        raise SqlFileError(
            f"{file.path}:{line}: these summaries depend on each other in a cycle: {', '.join(circle)}."
        ) from None
    for name in order:
        reads = {table: whole[table] for table in read[name]}
        whole[name] = replace(given[name], depends_on=tables[name], reads=reads)
        _check_needs(whole[name])
    return [whole[name] for name in order]

"""Builds the asset checks from the check files and from the `sums` in the summaries' headers."""

from collections.abc import Sequence

import dagster as dg
from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.checks.outcome import find_offending_rows, report_not_compared, result
from refersion_dagster.checks.query import SqlCheck, load_checks
from refersion_dagster.checks.raw import KEYS, raw_checks
from refersion_dagster.checks.sums import SUMS, find_drift
from refersion_dagster.failures import report_errors
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.knowledge import Gaps, find_unknown_columns, load_gaps
from refersion_dagster.summaries.lineage import deciding_sources
from refersion_dagster.summaries.measures import described
from refersion_dagster.summaries.query import Summary, list_tables, load_summaries
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.usage.costs import show_costs


def file_check(
    check: SqlCheck, summaries: Sequence[Summary] = (), names: Namespace = USUAL
) -> dg.AssetChecksDefinition:
    """Returns the asset check of a file.

    Args:
        summaries: summaries that it may read; their columns that cannot be known are not compared.
    """
    file, header, asset = check.file, check.file.header, names.table_key(*check.checked)
    severity = dg.AssetCheckSeverity.WARN if header.severity == "warning" else dg.AssetCheckSeverity.ERROR

    @dg.asset_check(
        asset=asset,
        name=file.name,
        description=f"{header.description} Otherwise: {header.meaning}",
        blocking=header.blocking,
        additional_deps=[key for table in check.depends_on if (key := names.table_key(*table)) != asset],
        metadata={"query": dg.MetadataValue.md(f"```sql\n{file.select}\n```")},
        pool=names.pool,
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def run_check(
        context: dg.AssetCheckExecutionContext, warehouse: Warehouse, settings: ReportSettings
    ) -> dg.AssetCheckResult:
        values = settings.parameters()
        with warehouse.write_lock(context.log.info), warehouse.compute_session() as session:
            if unknown := find_unknown_compared(check, summaries, load_gaps(session)):
                return report_not_compared(file.name, asset, unknown, context.log.warning)
            try:
                found = find_offending_rows(session, file.tree, values)
            except DatabaseException as error:
                raise dg.Failure(f"{file.path}:{file.line}: the query failed: {error}", allow_retries=False) from error
        return result(found, file.name, asset, header.description, header.meaning, severity)

    return run_check


def find_unknown_compared(check: SqlCheck, summaries: Sequence[Summary], gaps: Gaps) -> dict[str, str]:
    """Returns the columns that a check compares but that cannot be known on the account, with what is lacking."""
    if not gaps:
        return {}
    read = {one.name: one for one in summaries if (SUMMARIES, one.name) in check.depends_on}
    unknown = {name: find_unknown_columns(one, gaps) for name, one in read.items()}
    return {
        f"{table}.{column}": unknown[table][column].lacking
        for schema, table, column in sorted(deciding_sources(check.file.tree, check.depends_on, summaries))
        if schema == SUMMARIES and column in unknown.get(table, ())
    }


def sums_check(summary: Summary, names: Namespace = USUAL) -> dg.AssetChecksDefinition:
    """Returns the check that the summary's amounts per currency equal those of the raw rows."""
    asset = names.table_key(SUMMARIES, summary.name)
    words = "; ".join(f"{column}: {described(measure)}" for column, measure in summary.header.sums.items())
    description = f"Per currency these add up to the raw conversions ({words})."
    meaning = f"summaries/{summary.name} lost or duplicated money: do not use its figures."

    @dg.asset_check(
        asset=asset,
        name=SUMS,
        description=f"{description} Otherwise: {meaning}",
        blocking=True,
        additional_deps=[names.table_key(DATASET, "conversions")],
        pool=names.pool,
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def run_check(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> dg.AssetCheckResult:
        with warehouse.write_lock(context.log.info), warehouse.compute_session() as session:
            unknown = find_unknown_columns(summary, load_gaps(session))
            compared = {column: one for column, one in summary.header.sums.items() if column not in unknown}
            found = find_drift(session, summary.name, compared)
        left_out = {column: one.lacking for column, one in unknown.items() if column in summary.header.sums}
        if left_out and not found.count:
            return report_not_compared(SUMS, asset, left_out, context.log.warning)
        return result(found, SUMS, asset, description, meaning)

    return run_check


def all_checks(
    summaries: Sequence[Summary], names: Namespace = USUAL, own: Sequence[SqlCheck] = ()
) -> list[dg.AssetChecksDefinition]:
    """Returns all checks of raw tables and summaries, except primary keys of summaries: the build checks those.

    Checks that read summaries other than these are left out.

    Args:
        own: checks that are not shipped.
    """
    tables = list_tables(summary.name for summary in summaries)
    known = list_tables(summary.name for summary in (*load_summaries(), *summaries))
    files = [
        check
        for check in (*load_checks(known), *own)
        if all(table in tables[schema] for schema, table in (check.checked, *check.depends_on))
    ]
    return [
        *(raw_checks(table, names) for table in KEYS),
        *(sums_check(summary, names) for summary in summaries if summary.header.sums),
        *(file_check(file, summaries, names) for file in files),
    ]

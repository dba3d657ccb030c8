"""Builds the asset `summaries/<name>` of each summary."""

import warnings
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import dagster as dg
from sqlglot.errors import SqlglotError

from refersion_dagster.documentation import answers
from refersion_dagster.failures import report_errors
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.build import KeyNotUnique, build
from refersion_dagster.summaries.lineage import column_sources
from refersion_dagster.summaries.markdown import markdown_table
from refersion_dagster.summaries.ownership import own_summaries
from refersion_dagster.summaries.plot import plot
from refersion_dagster.summaries.query import Summary
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.usage.costs import show_costs

PRIMARY_KEY = "primary_key"


def summary_assets(summaries: Sequence[Summary], names: Namespace = USUAL) -> list[dg.AssetsDefinition]:
    return [summary_asset(summary, summaries, names) for summary in summaries]


def summary_asset(summary: Summary, others: Sequence[Summary], names: Namespace = USUAL) -> dg.AssetsDefinition:
    """Returns the asset that builds one summary as a staging table and swaps it in.

    Args:
        others: all summaries, including this one; used for its column lineage.
    """
    header = summary.header
    key = names.table_key(SUMMARIES, summary.name)

    @dg.asset(
        key=key,
        description=f"{header.description}\n\n**Grain:** {header.grain}{answers(*header.questions)}",
        group_name=names.group_name(header.group),
        kinds={"sql"},
        owners=header.owners,
        pool=names.pool,
        # If a release changes the SELECT, Dagster shows the table as outdated until it is rebuilt.
        code_version=sha256(summary.file.select.encode()).hexdigest()[:12],
        deps=[names.table_key(schema, table) for schema, table in summary.depends_on],
        # The asset runs this check itself, because it checks the new table before the swap.
        check_specs=[
            dg.AssetCheckSpec(
                PRIMARY_KEY,
                asset=key,
                blocking=True,
                description=f"Each {' and '.join(header.primary_key)} is unique and never empty. Otherwise rows "
                "would count twice in every join with this table.",
            )
        ],
        metadata={
            "dagster/table_name": names.table(SUMMARIES, summary.name),
            "primary_key": ", ".join(header.primary_key),
            # The warehouse determines the types when the table is built.
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, "", header.columns.get(name)) for name in summary.columns]
            ),
            "query": dg.MetadataValue.md(f"```sql\n{summary.file.select}\n```"),
            "dagster/code_references": source_of(summary),
        },
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def build_summary(
        context: dg.AssetExecutionContext, warehouse: Warehouse, settings: ReportSettings
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        values = settings.parameters()
        with warehouse.write_lock(context.log.info):
            try:
                with warehouse.compute_session() as session:
                    own_summaries(session, warehouse.schemas)
                    built = build(session, summary, values)
                    session.comment(SUMMARIES, summary.name, header.description, header.columns)
                    plotted = plot(session, summary)
            except KeyNotUnique as error:
                rows = dg.MetadataValue.md(markdown_table([*header.primary_key, "rows"], error.rows))
                yield dg.AssetCheckResult(passed=False, check_name=PRIMARY_KEY, metadata={"offending_keys": rows})
                raise
        metadata: dict[str, Any] = {
            "dagster/row_count": built.rows,
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, kind, header.columns.get(name)) for name, kind in built.columns]
            ),
            "preview": dg.MetadataValue.md(markdown_table([name for name, _ in built.columns], built.first_rows)),
        }
        if built.lacking:
            metadata["not_offered_by_this_account"] = built.lacking
        if built.unknown:
            metadata["columns_not_known"] = {
                column: f"not known on this account: {one.lacking}" for column, one in built.unknown.items()
            }
            context.log.warning(
                f"{summary.name}: {', '.join(built.unknown)} are not known because this account does not offer "
                f"{', '.join(sorted({one.lacking for one in built.unknown.values()}))}."
            )
        if plotted:
            metadata["plot"] = dg.MetadataValue.md(plotted)
        try:
            metadata["dagster/column_lineage"] = lineage(summary, others, names)
        except SqlglotError as error:
            context.log.warning(f"{summary.name}: the lineage of its columns cannot be determined: {error}")
        yield dg.MaterializeResult(
            metadata=metadata,
            check_results=[dg.AssetCheckResult(passed=True, check_name=PRIMARY_KEY, metadata={"rows": built.rows})],
        )

    return build_summary


def source_of(summary: Summary) -> dg.CodeReferencesMetadataValue:
    """Returns a reference to the SQL file, which Dagster's asset page links to."""
    file = Path(summary.file.path)
    with warnings.catch_warnings():
        # Both classes warn that they are in beta; pyproject.toml pins Dagster to a minor release.
        warnings.simplefilter("ignore", dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=str(file), line_number=summary.file.line, label=file.name)
        return dg.CodeReferencesMetadataValue(code_references=[reference])


def lineage(summary: Summary, others: Sequence[Summary], names: Namespace) -> dg.TableColumnLineage:
    """Returns the column lineage. Raises SqlglotError if the query cannot be analyzed."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(names.table_key(schema, table), name) for schema, table, name in sources]
            for column, sources in column_sources(summary, others).items()
        }
    )

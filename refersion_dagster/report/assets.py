"""The asset of the published copies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from refersion_dagster.failures import report_errors
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.report.checks import check_states
from refersion_dagster.report.publish import CURRENT, DATABASE, publish
from refersion_dagster.report.storage import Folder, name_local_folder, open_folder
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.settings import OutputSettings
from refersion_dagster.settings.part import like
from refersion_dagster.summaries.query import Summary
from refersion_dagster.usage.costs import show_costs

GROUP = "published"


class Publishing(dg.ConfigurableResource):
    """Where published copies go."""

    folder: str = like(OutputSettings, "publish_path")

    @property
    def path(self) -> Folder:
        """The absolute folder, which need not exist. Raises InvalidSetting and StorageNotSet."""
        return open_folder(OutputSettings.of({}, publish_path=self.folder).publish_path)


def published_assets(
    summaries: Sequence[Summary], checks: Sequence[dg.AssetCheckKey] = (), names: Namespace = USUAL
) -> list[dg.AssetsDefinition]:
    """Returns the asset `published/summaries`, which depends on every summary and therefore on all their checks.

    Args:
        checks: checks whose results the manifest lists.
    """

    @dg.asset(
        key=names.asset_key("published", "summaries"),
        group_name=names.group_name(GROUP),
        kinds={"duckdb", "parquet"},
        owners=["team:data"],
        pool=names.pool,
        deps=[names.table_key(SUMMARIES, summary.name) for summary in summaries],
        # Runs after all other ready steps but the report's, so that it has the results of its own run's checks.
        op_tags={"dagster/priority": "-999"},
        description="""All summaries as files for notebooks, BI tools and spreadsheets: Parquet, CSV and one read-only \
DuckDB file. Written after every summary has passed its blocking checks.

A set is written under another name, and `current` is then switched to it in one step, so readers never see an \
incomplete set and never wait for the warehouse's lock. `manifest.json` lists the content, its time, its run, and the \
last result of every check.

**Answers**
- Where do I point my notebook or BI tool?""",
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def published_summaries(
        context: dg.AssetExecutionContext, warehouse: Warehouse, publishing: Publishing
    ) -> dg.MaterializeResult:
        folder = publishing.path
        try:
            states = check_states(context.instance, checks)
            with warehouse.write_lock(context.log.info), warehouse.session() as session:
                done, manifest = publish(session, summaries, folder, context.run_id, states)
        except OSError as error:
            raise dg.Failure(
                f"{name_local_folder(folder)} could not be written: {error.strerror or error}. The published "
                "copies are unchanged.",
                allow_retries=False,
            ) from error
        metadata: dict[str, Any] = {
            "folder": dg.MetadataValue.path(str(done)),
            "open_with": dg.MetadataValue.md(how_to_open(folder)),
            "tables": len(manifest.tables),
            "dagster/row_count": sum(table.rows for table in manifest.tables),
            "bytes": sum(table.bytes for table in manifest.tables),
        }
        if manifest.as_of:
            metadata["as_of"] = manifest.as_of
        return dg.MaterializeResult(metadata=metadata)

    return [published_summaries]


def how_to_open(folder: Folder) -> str:
    """Returns Markdown that shows how to read the current set."""
    if isinstance(folder, Path):
        return f"```python\nduckdb.connect('{folder / CURRENT / DATABASE}', read_only=True)\n```"
    current = f"SELECT '{folder}/' || folder FROM read_json('{folder / CURRENT}.json')"  # noqa: S608 - for people
    table = "read_parquet(getvariable('current') || '/parquet/conversions.parquet')"
    return f"```sql\nSET VARIABLE current = ({current});\nFROM {table};\n```"

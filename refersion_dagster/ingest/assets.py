"""The raw tables `refersion/<table>`: one multi-asset whose tables can be materialised separately."""

from collections.abc import Iterator

import dagster as dg
from dagster_dlt import DagsterDltResource
from pydantic import Field

from refersion_dagster.errors import ReportedError
from refersion_dagster.failures import report_errors
from refersion_dagster.ingest.loader import load_tables
from refersion_dagster.ingest.outages import waits_for_outage
from refersion_dagster.ingest.specs import asset_spec, maintained_specs
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion import LoadRequest
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.usage.costs import show_costs

# Name of the step that loads them.
LOADS = "refersion_tables"


class RefreshConfig(dg.Config):
    """How much to read. Left alone, a run continues where the last one ended and looks back as far as the settings say.

    Conversions, payments and totals are read by the time they were created.
    """

    lookback_days: int | None = Field(
        default=None,
        ge=0,
        description="Number of days before the last run to read again, instead of REFERSION_LOOKBACK_DAYS.",
    )
    read_from: str | None = Field(
        default=None,
        description="Read exactly the time range from here (YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ, UTC) without "
        "moving the high-water mark.",
    )
    read_to: str | None = Field(default=None, description="Exclusive end of that range. Default: the start of the run.")
    full_reload: bool = Field(default=False, description="Reload everything since REFERSION_START_DATE.")
    all_details: bool = Field(
        default=False,
        description="affiliate_get: read the details of every affiliate, not only of new and changed ones.",
    )

    def request(self) -> LoadRequest:
        """What the run should read. Raises InvalidRunConfiguration, instead of reading nothing."""
        try:
            return LoadRequest.from_texts(**self.model_dump())
        except ValueError as error:
            raise InvalidRunConfiguration(f"Run configuration: {error}.") from None


class InvalidRunConfiguration(ReportedError):
    """The run configuration is invalid. Nothing was read."""


def raw_tables(names: Namespace = USUAL) -> dg.AssetsDefinition:
    """Returns the multi-asset of the raw tables."""

    @dg.multi_asset(
        name=names.name(LOADS),
        specs=[*(asset_spec(entity, names) for entity in ENTITIES.values()), *maintained_specs(names)],
        can_subset=True,
        pool=names.pool,
        # For failures that outlast the retries of single requests. Permanent errors disable the retry.
        retry_policy=dg.RetryPolicy(
            max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ),
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def load(
        context: dg.AssetExecutionContext,
        config: RefreshConfig,
        refersion: RefersionResource,
        warehouse: Warehouse,
        dlt: DagsterDltResource,
    ) -> Iterator[dg.MaterializeResult]:
        """Reads Refersion with dlt and merges what came into the warehouse."""
        tables = [key.path[-1] for key in context.selected_asset_keys]
        with waits_for_outage(context, refersion):
            yield from load_tables(context, names, refersion, warehouse, dlt, config.request(), tables)

    return load


refersion_tables = raw_tables()

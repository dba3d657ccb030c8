"""The backfill job: reads the months selected on its page in the UI again, each in a separate run."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.failures import report_errors
from refersion_dagster.ingest.assets import RefreshConfig
from refersion_dagster.ingest.loader import load_tables
from refersion_dagster.ingest.outages import waits_for_outage
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.windows import month_start, parse_moment
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.settings import AccountSettings, Settings

JOB, STEP = "refersion_backfill", "read_month"
TABLES = ("payments", "conversions", "conversion_history", "conversion_totals")
# The first month offered if REFERSION_START_DATE is not set.
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)


def first_month(account: AccountSettings) -> datetime:
    """The first month offered: that of REFERSION_START_DATE. An invalid date is reported by the run, not here."""
    return month_start(parse_moment(account.start_date)) if account.start_date else EARLIEST


def month_config(account: AccountSettings, names: Namespace = USUAL) -> dg.PartitionedConfig:
    """Run configuration that reads one month and leaves the high-water mark unchanged."""

    @dg.monthly_partitioned_config(start_date=first_month(account), end_offset=1)
    def one_month(start: datetime, end: datetime) -> dict[str, Any]:
        span = {"read_from": start.isoformat(), "read_to": end.isoformat()}
        return {"ops": {names.name(STEP): {"config": span}}}

    return one_month


def backfill_job(settings: Settings, names: Namespace = USUAL) -> dg.JobDefinition:
    """The job `refersion_backfill`."""

    # An op, because Dagster's page of an asset job offers only the partitions of the assets, which have none.
    @dg.op(name=names.name(STEP), pool=names.pool)
    @names.rename_resources
    @report_errors
    def read_month(
        context: dg.OpExecutionContext,
        config: RefreshConfig,
        refersion: RefersionResource,
        warehouse: Warehouse,
        dlt: DagsterDltResource,
    ) -> None:
        """Reads one span again, and records what it brought on the pages of the assets."""
        with waits_for_outage(context, refersion):
            for loaded in load_tables(context, names, refersion, warehouse, dlt, config.request(), TABLES):
                assert loaded.asset_key  # noqa: S101 - load_tables names the asset of each result
                context.log_event(dg.AssetMaterialization(loaded.asset_key, metadata=loaded.metadata))

    @dg.job(name=names.name(JOB), config=month_config(settings.account, names))
    def refersion_backfill() -> None:
        """Reads selected months of conversions, payments and totals again, each month in a separate run.

        The high-water mark stays where it is. The summaries follow with the next refresh.
        """
        read_month()

    return refersion_backfill

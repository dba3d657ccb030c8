"""One job for each operation, launched by a person with a configuration."""

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.actions.operations.catalog import ENDPOINTS, Endpoint
from refersion_dagster.actions.orchestration.config import config_class
from refersion_dagster.actions.orchestration.run import carry_out
from refersion_dagster.failures import report_errors
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.settings import Settings


def action_job(endpoint: Endpoint, settings: Settings, names: Namespace = USUAL) -> dg.JobDefinition:
    """Returns the only job that runs this write operation. With the default configuration it sends nothing."""
    configuration = config_class(endpoint)

    @dg.op(name=names.name(endpoint.name), description=endpoint.description, pool=names.pool)
    @names.rename_resources
    @report_errors
    def act(
        context: dg.OpExecutionContext,
        config: configuration,  # pyright: ignore[reportInvalidTypeForm] - made for the operation
        refersion: RefersionResource,
        warehouse: Warehouse,
        dlt: DagsterDltResource,
    ) -> None:
        carry_out(context, names, endpoint, config, settings, refersion, warehouse, dlt)

    @dg.job(
        name=names.name(endpoint.job),
        # Dagster's run retries start a killed run again. It would be refused, but a person has to decide anyway.
        tags={"dagster/max_retries": "0"},
        description=f"{endpoint.description} A dry run unless dry_run is false; disabled unless "
        "REFERSION_ALLOW_WRITES is true.",
    )
    def job() -> None:
        act()

    return job


def action_jobs(settings: Settings, names: Namespace = USUAL) -> list[dg.JobDefinition]:
    """Returns the job of each operation."""
    return [action_job(endpoint, settings, names) for endpoint in ENDPOINTS.values()]

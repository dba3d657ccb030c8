"""Checks the destination of a plain dlt pipeline."""

from __future__ import annotations

import dlt
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable

from refersion_dagster.refersion.errors import CannotMerge

SNAPSHOT = (
    "Load into a database, such as destination='duckdb' or 'postgres'. Or replace everything in each run: "
    "pipeline.run(refersion_source(full_reload=True, all_details=True), write_disposition='replace')."
)
UPSERT = "Call pipeline.run with write_disposition={'disposition': 'merge', 'strategy': 'upsert'}."


def check_merge() -> None:
    """Raises CannotMerge if the current resource's pipeline would append rows instead of merging them.

    If a destination cannot merge, dlt appends with only a warning in its log.
    """
    try:
        dlt.current.load_package_state()
    except CurrentLoadPackageStateNotAvailable:
        return  # read without a pipeline, even if one was used before
    destination = dlt.current.pipeline().destination
    if destination is None:
        return  # no destination is set yet
    resource = dlt.current.resource()
    table = resource.compute_table_schema()
    if table.get("write_disposition") != "merge":
        return
    capabilities = destination.capabilities()
    strategies = capabilities.supported_merge_strategies
    if select := capabilities.merge_strategies_selector:
        strategies = select(strategies, table_schema=table)
    wanted = resource.write_disposition
    # Without a strategy, dlt uses the first supported one.
    strategy = wanted.get("strategy") if isinstance(wanted, dict) else None
    if strategies and strategy in (None, *strategies):
        return
    name, where = table.get("name") or resource.name, destination.destination_name
    if strategies:
        raise CannotMerge(
            f"the destination {where} cannot merge with the strategy {strategy}.",
            operation=name,
            advice=f"It supports {', '.join(strategies)}. {UPSERT}",
        )
    raise CannotMerge(
        f"the destination {where} cannot merge: each run would append all rows that it reads again, and "
        "commission would be counted more than once.",
        operation=name,
        advice=SNAPSHOT,
    )

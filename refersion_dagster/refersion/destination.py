"""What has to be true of the destination of a plain dlt pipeline."""

from __future__ import annotations

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.exceptions import DestinationCapabilitiesException
from dlt.common.destination.utils import resolve_merge_strategy
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable

from refersion_dagster.refersion.errors import CannotMerge

SNAPSHOT = (
    "Load into a database, such as destination='duckdb' or 'postgres'. Or replace everything in each run: "
    "pipeline.run(refersion_source(full_reload=True, all_details=True), write_disposition='replace')."
)
UPSERT = "Call pipeline.run with write_disposition={'disposition': 'merge', 'strategy': 'upsert'}."


def check_merge() -> None:
    """Raises CannotMerge where the pipeline that reads the current resource would append rows instead of merging them.

    dlt appends, with a warning in its log, where a destination has no way to merge.
    """
    try:
        dlt.current.load_package_state()
    except CurrentLoadPackageStateNotAvailable:
        return  # read alone, regardless of the pipeline used before
    if DestinationCapabilitiesContext not in Container():
        return  # no destination is known yet
    resource = dlt.current.resource()
    table = resource.compute_table_schema()
    name = table.get("name") or resource.name
    if table.get("write_disposition") != "merge":
        return
    where = dlt.current.pipeline().destination.destination_name
    try:
        if resolve_merge_strategy({name: table}, table):
            return
    except DestinationCapabilitiesException as error:
        raise CannotMerge(
            f"the destination {where} cannot merge with the strategy delete-insert.",
            operation=name,
            advice=f"{error}. {UPSERT}",
        ) from None
    raise CannotMerge(
        f"the destination {where} cannot merge: each run would append all rows that it reads again, and "
        "commission would be counted more than once.",
        operation=name,
        advice=SNAPSHOT,
    )

"""The asset specs of the result tables.

The assets are external: they have no code that materializes them. "Materialize all", jobs over all assets, automation
conditions and asset sensors therefore cannot start one. Only the operation's job writes to Refersion, and it records
the materialization of the asset.
"""

from __future__ import annotations

import dagster as dg

from refersion_dagster.actions.journal.result_tables import columns
from refersion_dagster.actions.operations.catalog import ENDPOINTS, Endpoint
from refersion_dagster.documentation import answers
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.environment import DATASET

GROUP = "actions"
OWNERS = ["team:data"]
TYPES = {"decimal": "decimal(18,4)", "timestamp": "timestamptz", "bool": "boolean"}


def asset_key(endpoint: Endpoint, names: Namespace = USUAL) -> dg.AssetKey:
    return names.asset_key("actions", endpoint.name)


def column_schema(endpoint: Endpoint) -> dg.TableSchema:
    return dg.TableSchema(
        [
            dg.TableColumn(
                name,
                TYPES.get(kind, kind),
                description,
                dg.TableColumnConstraints(nullable=name not in ("key", "outcome"), unique=name == "key"),
            )
            for name, kind, description in columns(endpoint)
        ]
    )


def asset_spec(endpoint: Endpoint, names: Namespace = USUAL) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(endpoint, names),
        description=f"{endpoint.description} One row is an item that was sent: the request, Refersion's response, "
        f"the outcome, who requested it and when.\n\nWritten by the job `{names.name(endpoint.job)}` and by nothing "
        "else; launch it in its Launchpad."
        + answers("What was sent to Refersion, who requested it, and what was the outcome?"),
        group_name=names.group_name(GROUP),
        kinds={"rest"},
        owners=OWNERS,
        metadata={
            "dagster/column_schema": column_schema(endpoint),
            "dagster/table_name": names.table(DATASET, endpoint.name),
            "primary_key": "key",
            "job": names.name(endpoint.job),
        },
    )


def action_specs(names: Namespace = USUAL) -> list[dg.AssetSpec]:
    """Returns the asset spec of each operation."""
    return [asset_spec(endpoint, names) for endpoint in ENDPOINTS.values()]

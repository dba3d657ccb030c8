"""The whole examination."""

from __future__ import annotations

from collections.abc import Mapping

from refersion_dagster.doctor import graphql, identity, machine, rest, settings, totals, warehouse
from refersion_dagster.doctor.findings import Findings
from refersion_dagster.doctor.given import find_given
from refersion_dagster.doctor.probing import Probe, run_probes
from refersion_dagster.settings import Settings
from refersion_dagster.warehouse import WarehouseNotSet
from refersion_dagster.warehouse.duckdb_database import DuckDBDatabase

# A request may be tried twice, each time for some seconds.
SECONDS = 20.0
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Settings": settings.NAMES,
    "REST": rest.NAMES,
    "GraphQL": graphql.NAMES,
    "Warehouse": (*warehouse.NAMES, *identity.NAMES, *totals.NAMES),
    "Machine": (*machine.SPACE, *machine.VERSIONS, *machine.DAGSTER),
}


def examine(loaded: Settings) -> Findings:
    """Looks at everything at once, and tells it without any secret."""
    given = find_given(loaded)
    account, tables = given.account(), given.warehouse()
    try:
        database = tables.database
        path = database.path if isinstance(database, DuckDBDatabase) else None
    except WarehouseNotSet:  # told by the check of the warehouse
        path = None
    probes = [
        Probe(settings.NAMES, lambda: settings.look_at_settings(given)),
        Probe(rest.NAMES, lambda: rest.look_at_rest(account)),
        Probe(graphql.NAMES, lambda: graphql.look_at_graphql(account)),
        Probe(warehouse.NAMES, lambda: warehouse.look_at_warehouse(tables)),
        Probe(identity.NAMES, lambda: identity.look_at_account(account, tables)),
        Probe(totals.NAMES, lambda: totals.look_at_totals(account, tables, given.values.get("start_date"))),
        Probe(machine.SPACE, lambda: machine.look_at_space(path)),
        Probe(machine.VERSIONS, machine.look_at_versions),
        Probe(machine.DAGSTER, lambda: machine.look_at_dagster(given.environment)),
    ]
    return Findings(run_probes(probes, SECONDS)).without(given.secrets)

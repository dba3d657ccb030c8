"""Runs all checks of the doctor."""

from __future__ import annotations

from collections.abc import Mapping

from refersion_dagster.doctor import graphql, machine, outputs, rest, settings, totals, warehouse
from refersion_dagster.doctor.findings import DoctorReport
from refersion_dagster.doctor.inputs import find_inputs
from refersion_dagster.doctor.probes import Probe, run_probes
from refersion_dagster.settings import Settings
from refersion_dagster.warehouse.errors import WarehouseNotSet

# A request may be tried twice, for a few seconds each.
SECONDS = 20.0
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Settings": settings.NAMES,
    "REST": rest.NAMES,
    "GraphQL": graphql.NAMES,
    "Warehouse": (*warehouse.NAMES, *warehouse.ACCOUNT, *totals.NAMES),
    "Outputs": outputs.NAMES,
    "Machine": (*machine.SPACE, *machine.VERSIONS, *machine.DAGSTER),
}


def examine(loaded: Settings) -> DoctorReport:
    """Runs all checks in parallel and reports them without secrets."""
    inputs = find_inputs(loaded)
    account, tables = inputs.account(), inputs.warehouse()
    try:
        path = tables.database.file
    except WarehouseNotSet:  # the warehouse check reports it
        path = None
    probes = [
        Probe(settings.NAMES, lambda: settings.check_variables(inputs)),
        Probe(rest.NAMES, lambda: rest.check_rest(account)),
        Probe(graphql.NAMES, lambda: graphql.check_graphql(account)),
        Probe(warehouse.NAMES, lambda: warehouse.check_warehouse(tables)),
        Probe(warehouse.ACCOUNT, lambda: warehouse.check_account_identity(account, tables)),
        Probe(totals.NAMES, lambda: totals.check_totals(account, tables, inputs.values.get("start_date"))),
        Probe(outputs.NAMES, lambda: outputs.check_outputs(loaded)),
        Probe(machine.SPACE, lambda: machine.check_space(path)),
        Probe(machine.VERSIONS, machine.check_versions),
        Probe(machine.DAGSTER, machine.check_dagster),
    ]
    return DoctorReport(run_probes(probes, SECONDS)).without(inputs.secrets)

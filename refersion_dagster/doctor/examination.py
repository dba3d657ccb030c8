"""Runs all checks of the doctor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg

from refersion_dagster.doctor import machine, outputs, settings, totals, warehouse
from refersion_dagster.doctor.apis import graphql, rest, status
from refersion_dagster.doctor.exports import checks as exports
from refersion_dagster.doctor.findings import DoctorReport
from refersion_dagster.doctor.inputs import find_inputs
from refersion_dagster.doctor.probes import Probe, run_probes
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.resources import Warehouse
from refersion_dagster.settings import Settings
from refersion_dagster.warehouse.errors import WarehouseNotSet

# A request may be tried twice, for a few seconds each.
SECONDS = 20.0
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Settings": settings.NAMES,
    "REST": rest.NAMES,
    "GraphQL": graphql.NAMES,
    "Refersion": status.NAMES,
    "Warehouse": (
        *warehouse.NAMES,
        *warehouse.ENGINE_NAMES,
        *warehouse.ACCOUNT,
        *totals.NAMES,
        *warehouse.JOURNAL,
    ),
    "Outputs": outputs.NAMES,
    "Machine": (*machine.SPACE, *machine.VERSIONS, *machine.DAGSTER),
}
# Of an account that is read from exports, instead of REST and GraphQL.
EXPORTS = "Exports"


def list_sections(report: DoctorReport) -> dict[str, list[str]]:
    """Returns the names of the checks that were made, by section."""
    made = {check.name for check in report.checks}
    sections = {"Settings": SECTIONS["Settings"], EXPORTS: exports.NAMES, **SECTIONS}
    return {title: found for title, names in sections.items() if (found := [name for name in names if name in made])}


def examine(
    loaded: Settings,
    names: Namespace = USUAL,
    build: Callable[[], dg.Definitions] | None = None,
    resource: Warehouse | None = None,
) -> DoctorReport:
    """Runs all checks in parallel and reports them without secrets.

    Args:
        names: names of the account.
        build: builds its definitions; None for those of the shipped code location.
        resource: its warehouse; None for the one in the settings.
    """
    inputs = find_inputs(loaded, names, build, resource)
    account, tables = inputs.account(), inputs.warehouse()
    try:
        path = tables.database.file
    except WarehouseNotSet:  # the warehouse check reports it
        path = None
    by_api = [
        Probe(rest.NAMES, lambda: rest.check_rest(account)),
        Probe(graphql.NAMES, lambda: graphql.check_graphql(account)),
        Probe(status.NAMES, lambda: status.check_status_page(inputs.status_page())),
    ]
    compared = [
        Probe(warehouse.ACCOUNT, lambda: warehouse.check_account_identity(account, tables)),
        Probe(totals.NAMES, lambda: totals.check_totals(account, tables, inputs.values.get("start_date"))),
    ]
    if (path_of_exports := loaded.account.exports_path) is not None:
        folder = Path(path_of_exports).expanduser()
        by_api, compared = [Probe(exports.NAMES, lambda: exports.check_exports(folder))], []
    probes = [
        Probe(settings.NAMES, lambda: settings.check_variables(inputs)),
        *by_api,
        Probe(warehouse.NAMES, lambda: warehouse.check_warehouse(tables)),
        *([Probe(warehouse.ENGINE_NAMES, lambda: warehouse.check_engine(tables))] if tables.has_engine else []),
        *compared,
        Probe(warehouse.JOURNAL, lambda: warehouse.check_journal(tables, loaded.actions.allow_writes)),
        Probe(outputs.NAMES, lambda: outputs.check_outputs(loaded)),
        Probe(machine.SPACE, lambda: machine.check_space(path)),
        Probe(machine.VERSIONS, machine.check_versions),
        Probe(machine.DAGSTER, lambda: machine.check_dagster(names)),
    ]
    report = status.with_notices(DoctorReport(run_probes(probes, SECONDS)))
    return report.rename(names.rename_words).without(inputs.secrets)

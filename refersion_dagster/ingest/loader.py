"""Loads raw tables through dagster-dlt, one load per group of tables, so that a failure stays in its group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.errors import ReportedError
from refersion_dagster.ingest.account_guard import refuse_another_account
from refersion_dagster.ingest.control_totals.settlement import settle_totals
from refersion_dagster.ingest.exports.loader import ExportLoader
from refersion_dagster.ingest.follow_up import FollowUp
from refersion_dagster.ingest.history.conversions import TABLE, update_history
from refersion_dagster.ingest.history.readings import TABLE as READINGS
from refersion_dagster.ingest.history.readings import keep_unchanged_months
from refersion_dagster.ingest.history.schemas import CHANGES, keep_schema
from refersion_dagster.ingest.history.schemas import TABLE as SCHEMAS
from refersion_dagster.ingest.late_arrivals.months import keep_first_totals
from refersion_dagster.ingest.results import describe_history, describe_table
from refersion_dagster.ingest.run_log import source_log_shown
from refersion_dagster.ingest.specs import descriptions
from refersion_dagster.ingest.table_loads import CONVERSIONS, TOTALS, TableLoads
from refersion_dagster.namespace import Namespace
from refersion_dagster.refersion import LoadRequest, ReadReport
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import MissingCredentials, RefersionError
from refersion_dagster.refersion.identity import remember_account
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.resources import RefersionResource, Warehouse

# Tables that are loaded together. Control totals come last, because they are compared with the rows loaded before.
GROUPS = (
    ("affiliate_list", "affiliate_get"),
    ("affiliates",),
    ("offers",),
    ("payments",),
    ("conversions",),
    ("clicks",),
    ("conversion_totals",),
)


def load_tables(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
    names: Namespace,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt_resource: DagsterDltResource,
    request: LoadRequest,
    tables: Sequence[str],
) -> Iterator[dg.MaterializeResult]:
    """Loads the tables within one run, with exclusive write access; see Loader."""
    with warehouse.write_lock(context.log.info), source_log_shown(context.log):
        loads = TableLoads(context, names, refersion, warehouse, dlt_resource, request)
        folder = refersion.exports_folder()
        yield from (Loader(loads) if folder is None else ExportLoader(loads, folder)).load(tables)
        with warehouse.session() as session:
            for table in tables:
                session.comment(DATASET, table, *descriptions(table))


class TablesNotLoaded(ReportedError):
    """Some tables of a run could not be loaded; the others were.

    Args:
        failures: the error of each table.
    """

    def __init__(self, failures: Mapping[str, RefersionError]) -> None:
        super().__init__("\n\n".join(dict.fromkeys(map(str, failures.values()))))
        self.may_pass = all(error.may_pass for error in failures.values())


class Loader:
    """Loads tables of one account into one warehouse, within one run."""

    def __init__(self, loads: TableLoads) -> None:
        self.context = loads.context
        self.names = loads.names
        self.refersion = loads.refersion
        self.warehouse = loads.warehouse
        self.loads = loads
        self.follow_up = FollowUp(loads)

    def load(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        """Loads the tables group by group, and yields each result as soon as it is available.

        Raises TablesNotLoaded with every reason after the last group, if any table failed.
        """
        failures: dict[str, RefersionError] = {}
        refuse_another_account(self.refersion, self.warehouse)
        self._load_totals_first(tables, failures)
        report = self.loads.report
        for group in GROUPS:
            wanted = [table for table in group if table in tables and table not in failures]
            if wanted and self._try_load(wanted, failures, lambda wanted=wanted: self.loads.load(wanted, report)):
                yield from self._results([table for table in wanted if table != CONVERSIONS])
        if CONVERSIONS in tables and CONVERSIONS not in failures:
            if self.loads.request.looks_back:
                with_totals = TOTALS in tables and TOTALS not in failures
                self._try_load([CONVERSIONS], failures, lambda: self.follow_up.load_late_months(with_totals))
            if CONVERSIONS not in failures:
                self._try_load([CONVERSIONS], failures, self.follow_up.settle_absent)
            if TOTALS in tables and not failures.keys() & {CONVERSIONS, TOTALS}:
                self._try_load([CONVERSIONS], failures, self.follow_up.find_hidden_tests)
            if CONVERSIONS not in failures:
                self._try_load([CONVERSIONS], failures, lambda: self.follow_up.settle(set(tables) - failures.keys()))
            if CONVERSIONS not in failures:
                keep_unchanged_months(self.warehouse)
            yield from self._results([CONVERSIONS])
        elif TOTALS in tables and TOTALS not in failures:
            settle_totals(self.warehouse, self.context.log.info)
        if TABLE in tables and not failures:
            if CONVERSIONS not in tables:
                update_history(self.warehouse, [])
            yield describe_history(self.loads, TABLE)
        if READINGS in tables and not failures:
            if not {CONVERSIONS, TABLE} & set(tables):
                update_history(self.warehouse, [])
            yield describe_history(self.loads, READINGS)
        yield from self._keep_schema([table for table in (SCHEMAS, CHANGES) if table in tables], bool(failures))
        self._remember_account([table for table in tables if table in ENTITIES and table not in failures])
        if failures:
            raise TablesNotLoaded(failures)

    def _keep_schema(self, tables: Sequence[str], failed: bool) -> Iterator[dg.MaterializeResult]:
        report = self.loads.report
        if not tables:
            return
        with self.warehouse.session() as session:
            # A first load that could read nothing, such as one without keys, has created no place for its tables.
            if failed and report.schema is None and not session.columns(DATASET, SCHEMAS):
                return
            changes = keep_schema(session, report)
        if changes:
            self.context.log.warning(f"Refersion's GraphQL schema changed: {'; '.join(map(str, changes))}")
        more = {} if report.schema else {"not_read": report.why_no_schema}
        for table in tables:
            yield describe_history(self.loads, table, **more)

    def _remember_account(self, loaded: Sequence[str]) -> None:
        keys = self.refersion.account().credentials
        ways = {ENTITIES[table].is_graphql for table in loaded}
        with self.warehouse.session() as session:
            used = (keys.public_key if False in ways else None, keys.graphql_token if True in ways else None)
            remember_account(used, session.query)

    def _try_load(self, tables: Sequence[str], failures: dict[str, RefersionError], load: Callable[[], None]) -> bool:
        try:
            load()
        except RefersionError as error:
            # The full message is logged once, with the failure.
            said = f"not read, as {error.brief}" if isinstance(error, MissingCredentials) else str(error)
            self.context.log.error(f"{', '.join(tables)}: {said}")
            failures.update(dict.fromkeys(tables, error))
            return False
        return True

    def _load_totals_first(self, tables: Sequence[str], failures: dict[str, RefersionError]) -> None:
        """Loads totals before the first load of conversions, so that they show changes during that load."""
        if not self.loads.is_refresh or not {CONVERSIONS, TOTALS} <= set(tables):
            return
        if self.warehouse.row_counts([TOTALS]).get(TOTALS):
            return
        if self._try_load([TOTALS], failures, lambda: self.loads.load([TOTALS], ReadReport())):
            keep_first_totals(self.warehouse)

    def _results(self, tables: Sequence[str]) -> Iterator[dg.MaterializeResult]:
        counts = self.warehouse.row_counts(tables)
        for table in tables:
            yield self._result(table, counts.get(table, 0))

    def _result(self, table: str, row_count: int) -> dg.MaterializeResult:
        counts = self.follow_up.counts.requests if table == CONVERSIONS else 0
        more: dict[str, Any] = {"requests_made": self.loads.requests[table] + counts}
        if table == CONVERSIONS and self.loads.turn:
            more["read_in_turn"] = dg.MetadataValue.json(list(map(str, self.loads.turn)))
        if table == CONVERSIONS and self.follow_up.late:
            found = {f"{month.start:%Y-%m}": month.reasons for month in self.follow_up.late}
            more["late_months"] = dg.MetadataValue.json(found)
        return describe_table(self.loads, table, row_count, more)

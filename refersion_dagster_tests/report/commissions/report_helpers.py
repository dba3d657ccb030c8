"""Reports of the sandbox's account and of hand-made books."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element

import dagster as dg

from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.ingest.history.schemas import CHANGES
from refersion_dagster.ingest.specs import asset_key
from refersion_dagster.namespace import USUAL
from refersion_dagster.report.commissions.asset import KEY, commissions_report
from refersion_dagster.report.commissions.figures import report_figures
from refersion_dagster.report.commissions.queries import find_summaries
from refersion_dagster.report.commissions.render import Origin, report_page
from refersion_dagster.report.resource import Reports
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.location import Outcome, account_of, fresh_instance, made_of_raw_tables, outcome, resources
from refersion_dagster_tests.report.html_reader import read
from refersion_dagster_tests.summaries.builders import WarehouseBuilder, all_summaries, with_those_they_read

MADE = Origin("1.2.3", "1a2b3c4d-run", datetime(2025, 4, 1, 12, 30, tzinfo=UTC))


@dataclass(frozen=True)
class ReportHarness:
    """The result of a run that wrote the report."""

    warehouse: Warehouse
    folder: Path
    outcome: Outcome

    @cached_property
    def page(self) -> Element:
        return read(self.html)

    @cached_property
    def html(self) -> str:
        return (self.folder / "latest.html").read_text("utf-8")


def report_of(account: SandboxServer, folder: Path) -> ReportHarness:
    """Runs everything that the report depends on: raw tables, summaries, their checks and the report."""
    warehouse, reports = Warehouse(duckdb_path=str(folder / "warehouse.duckdb")), folder / "reports"
    made = made_of_raw_tables(checked=True)
    needed = with_those_they_read(find_summaries({summary.name for summary in all_summaries()}))
    not_needed = {USUAL.table_key(SUMMARIES, one.name) for one in all_summaries() if one not in needed}
    not_needed.add(asset_key(CHANGES))
    keys = [spec.key for one in made for spec in one.check_specs if spec.asset_key not in not_needed]
    with fresh_instance() as instance:
        result = dg.materialize(
            [refersion_tables, *made, commissions_report(all_summaries(), keys)],
            selection=dg.AssetSelection.assets(KEY).upstream() | dg.AssetSelection.checks(*keys),
            resources={**resources(account_of(account), warehouse), "reports": Reports(folder=str(reports))},
            instance=instance,
            raise_on_error=False,
        )
        return ReportHarness(warehouse, reports, outcome(instance, result.run_id))


def report_again(warehouse: Warehouse, folder: Path) -> Outcome:
    """Runs only the report, from existing or missing summaries."""
    with fresh_instance() as instance:
        result = dg.materialize(
            [commissions_report(all_summaries(), [])],
            resources={"warehouse": warehouse, "settings": ReportSettings(), "reports": Reports(folder=str(folder))},
            instance=instance,
            raise_on_error=False,
        )
        return outcome(instance, result.run_id)


def page_of(books: WarehouseBuilder) -> str:
    """Returns the report of hand-made books as HTML, without checks."""
    books.build(*find_summaries({summary.name for summary in all_summaries()}))
    with books.warehouse.session() as session:
        return report_page(report_figures(session), [], MADE)

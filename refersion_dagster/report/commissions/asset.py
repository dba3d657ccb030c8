"""The asset `report/commissions`."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from refersion_dagster.failures import report_errors
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.report.checks import check_states
from refersion_dagster.report.commissions.figures import Figures, report_figures
from refersion_dagster.report.commissions.queries import find_summaries
from refersion_dagster.report.daily_files import keep
from refersion_dagster.report.resource import Reports
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.markdown import escape_markdown, markdown_table
from refersion_dagster.summaries.query import Summary
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.usage.costs import show_costs
from refersion_dagster.warehouse.session import UndefinedTable

GROUP = "report"
PATH = ("report", "commissions")
KEY = USUAL.asset_key(*PATH)
NAME = "commissions"


def commissions_report(
    summaries: Sequence[Summary], checks: Sequence[dg.AssetCheckKey], names: Namespace = USUAL
) -> dg.AssetsDefinition:
    """Returns the asset that writes the report.

    Args:
        summaries: all summaries.
        checks: checks whose results it shows.
    """

    @dg.asset(
        key=names.asset_key(*PATH),
        group_name=names.group_name(GROUP),
        kinds={"html"},
        owners=["team:data"],
        pool=names.pool,
        deps=[names.table_key(SUMMARIES, name) for name in find_summaries({summary.name for summary in summaries})],
        # Runs last of all ready steps, so that it shows the results of its own run's checks.
        op_tags={"dagster/priority": "-1000"},
        description="""The commission report: one HTML file that opens from disk or from an e-mail, light or dark, on \
a phone and on paper, without scripts or network. It is written after the summaries it reads have passed their \
blocking checks.

Each currency has its headline figures (the last complete month compared with the month before), sales and commission \
over time, top affiliates, what is owed by age, the roll-forward, the status of orders, and findings to review. \
Refersion's own totals and the last result of every check follow. One file is kept for each day of data, and \
`latest.html` is the newest.

**Answers**
- Who drove the sales, and what do we owe?
- How did last month compare with the month before?
- Can I rely on these figures?""",
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def report_commissions(
        context: dg.AssetExecutionContext, warehouse: Warehouse, settings: ReportSettings, reports: Reports
    ) -> dg.MaterializeResult:
        from refersion_dagster.report.commissions.render import Origin, report_page

        zone = ZoneInfo(str(settings.parameters()["report_timezone"]))
        try:
            with warehouse.write_lock(context.log.info), warehouse.session() as session:
                figures = report_figures(session)
        except UndefinedTable as error:
            raise dg.Failure(
                f"A summary that the report reads was never built. Run the job refersion_refresh first: {error}",
                allow_retries=False,
            ) from error
        states = check_states(context.instance, checks)
        now = datetime.now(zone)
        html = report_page(figures, states, Origin(version("refersion-dagster"), context.run.run_id, now))
        day = figures.as_of.today if figures.as_of else now.date()
        folder = reports.path
        try:
            kept = keep(folder, NAME, day, html)
        except OSError as error:
            raise dg.Failure(
                f"{folder} could not be written: {error.strerror or error}. No report there is damaged.",
                allow_retries=False,
            ) from error
        passed = sum(state.verdict == "passed" for state in states)
        context.log.info(f"The report is {kept.latest}")
        metadata: dict[str, Any] = {
            "report": dg.MetadataValue.path(str(kept.latest)),
            "kept_as": dg.MetadataValue.path(str(kept.of_day)),
            "checks_passed": f"{passed} of {len(states)}",
            "bytes": len(html.encode()),
            **build_metadata(figures),
        }
        if figures.as_of:
            metadata["as_of"] = figures.as_of.as_of.astimezone(UTC).isoformat(timespec="seconds")
        return dg.MaterializeResult(metadata=metadata)

    return report_commissions


def build_metadata(figures: Figures) -> dict[str, dg.MarkdownMetadataValue]:
    """Returns metadata: the headline figures of each currency, and a sales chart in the account's own currency."""
    from refersion_dagster.report.commissions.render import charts
    from refersion_dagster.report.money import amount
    from refersion_dagster.report.page import month

    if figures.period is None or not figures.currencies:
        return {}
    rows = [
        (
            of.currency[:12],
            of.now.orders,
            amount(of.now.sales, of.currency),
            amount(of.now.commission, of.currency),
            amount(of.owed.due if of.owed else None, of.currency),
        )
        for of in figures.currencies
        if of.now
    ]
    over = month(figures.period.month)
    names = ("currency", f"orders, {over}", f"sales, {over}", f"commission, {over}", "due now")
    shown = {"figures": dg.MetadataValue.md(markdown_table(names, rows))}
    first = figures.currencies[0]
    if drawn := charts(first, "picture"):
        told = escape_markdown(f"Sales by month, {first.currency[:12]}")
        image = b64encode(drawn[0].encode()).decode()
        shown["picture"] = dg.MetadataValue.md(f"![{told}](data:image/svg+xml;base64,{image})")
    return shown

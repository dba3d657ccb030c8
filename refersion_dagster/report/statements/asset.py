"""The asset `report/statements`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import dagster as dg
from pydantic import Field

from refersion_dagster.failures import report_errors
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.report.checks import check_states
from refersion_dagster.report.file_sets import replace_set
from refersion_dagster.report.merchant import NOT_NAMED, Merchant
from refersion_dagster.report.resource import Reports
from refersion_dagster.report.statements.bounds import (
    bound_statements,
    find_unknown_currencies,
    from_bounds,
    rolled_bounds,
    select_known,
)
from refersion_dagster.report.statements.errors import (
    AffiliateNotThere,
    ChecksFailed,
    FolderNotWritable,
    MonthNotKnown,
    NothingToState,
    StatementsDoNotTie,
)
from refersion_dagster.report.statements.figures import (
    Lines,
    Statement,
    first_month,
    read_last_reading,
    roll_forward,
    select_conversions,
    statements,
)
from refersion_dagster.report.statements.file_names import file_name
from refersion_dagster.report.statements.reconciliation import (
    SHARED,
    by_currency,
    check_arithmetic,
    compare_with_roll_forward,
)
from refersion_dagster.report.statements.request import StatementRequest, choose_month
from refersion_dagster.report.storage import Folder, name_local_folder
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.markdown import markdown_table
from refersion_dagster.usage.costs import show_costs
from refersion_dagster.warehouse.session import Session

GROUP = "statements"
PATH = ("report", "statements")
KEY = USUAL.asset_key(*PATH)
READS = (
    "commission_roll_forward",
    "conversion_states",
    "due_periods",
    "due_bounds",
    "conversions",
    "affiliates",
    "currencies",
    "data_as_of",
)
FOLDER, VERSIONS, OF_ONE = "statements", ".versions", "of_one_affiliate"
# Number of sets of a month to keep, so that readers of the previous set are not interrupted.
KEPT = 2
TIES = "ties_to_roll_forward"
SHOWN = 5


class StatementsConfig(dg.Config):
    """Which statements to make. Left alone: those of all affiliates for the last month that is over."""

    month: str | None = Field(
        default=None,
        description="The month, as YYYY-MM in the reporting time zone. Default: the last month that had ended "
        "when Refersion was last read.",
    )
    affiliate: str | None = Field(
        default=None,
        description="Id of one affiliate, as in summaries/affiliates. Default: all affiliates. The files of one "
        "affiliate are written to a separate folder and do not change the month's set.",
    )
    unfinished: bool = Field(
        default=False,
        description="Allow a month that has not ended. Its statements say that they may still change.",
    )
    allow_unknown: bool = Field(
        default=False,
        description="Allow a month that is not completely known, because readings of Refersion are missing. Its "
        "statements say what is not known, and between which amounts a balance lies.",
    )
    despite_failed_checks: bool = Field(
        default=False,
        description="Generate them although a blocking check of the summaries they read has failed.",
    )


DESCRIPTION = """A statement for each affiliate and month: what was owed at the beginning, what was earned, approved, \
reversed, paid and adjusted, what was owed at the end, and the conversions behind it.

HTML and CSV for each affiliate, an index of all and a file of totals, in `statements/<month>/` of \
`REFERSION_REPORT_PATH`; a set is replaced as a whole. An affiliate's files contain nothing about other affiliates or \
customers. Generated when a person launches it, or each month by the schedule `refersion_statements`; choose month \
and affiliate in the Launchpad (the arrow beside Materialize).

**Answers**
- How do we explain last month's payment to an affiliate?
- Which conversions make up what an affiliate is owed?"""


def statements_asset(checks: Sequence[dg.AssetCheckSpec] = (), names: Namespace = USUAL) -> dg.AssetsDefinition:
    """Returns the asset that writes the statements.

    Args:
        checks: all checks; the last result of each blocking check of a summary that statements read must not be a
            failure.
    """
    key = names.asset_key(*PATH)
    reads = [names.table_key(SUMMARIES, name) for name in READS]
    blocking = [check.key for check in checks if check.blocking and check.asset_key in reads]

    @dg.asset(
        key=key,
        group_name=names.group_name(GROUP),
        kinds={"html", "csv"},
        owners=["team:data"],
        pool=names.pool,
        deps=reads,
        check_specs=[
            dg.AssetCheckSpec(
                TIES,
                asset=key,
                blocking=True,
                description="All statements of the month add up to summaries/commission_roll_forward, to the "
                "last digit, in each currency and line; each statement adds up in itself and with its "
                "conversions. Otherwise none is written.",
            )
        ],
        description=DESCRIPTION,
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def report_statements(
        context: dg.AssetExecutionContext, config: StatementsConfig, warehouse: Warehouse, reports: Reports
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        """Everything is read from one state of the warehouse, as no other run may write meanwhile."""
        if not config.despite_failed_checks:
            refuse_failed_checks(context.instance, blocking)
        if not warehouse.database.exists:
            raise NothingToState(f"{warehouse.location} does not exist. Run refersion_refresh first.")
        folder = reports.path / FOLDER
        try:
            with warehouse.write_lock(context.log.info), warehouse.session() as session:
                yield make(session, config, folder, context.run.run_id, reports.merchant)
        except StatementsDoNotTie as error:
            yield dg.AssetCheckResult(passed=False, check_name=TIES, description=str(error))
            raise
        except OSError as error:
            raise FolderNotWritable(
                f"{name_local_folder(folder)} could not be written: {error.strerror or error}. Free disk space, or "
                "set REFERSION_REPORT_PATH."
            ) from error

    return report_statements


def refuse_failed_checks(instance: dg.DagsterInstance, blocking: Sequence[dg.AssetCheckKey]) -> None:
    """Raises ChecksFailed if the last result of one of these checks is a failure, because automation would stop too."""
    failed = [check for check in check_states(instance, blocking) if check.verdict == "failed"]
    if failed:
        told = "; ".join(f"{check.name} of {check.asset}: {' '.join((check.said or '').split())}" for check in failed)
        raise ChecksFailed(
            f"Checks of tables that statements read have failed ({told}). Fix the cause and run "
            "refersion_refresh, or set `despite_failed_checks`."
        )


def make(
    session: Session, config: StatementsConfig, folder: Folder, run_id: str, merchant: Merchant = NOT_NAMED
) -> dg.MaterializeResult:
    """Generates and publishes the chosen statements.

    Raises StatementsNotMade, OSError or StorageError; nothing is published then.
    """
    # Lazy import, because it loads the templates.
    from refersion_dagster.report.statements.files import INDEX, refuse, write_set

    issue = replace(choose_request(session, config), merchant=merchant)
    unknown = find_unknown_currencies(session, issue.month)
    if not config.allow_unknown:
        refuse_unknown(unknown, issue)
    found = statements(session, issue.month)
    rolled = {name: lines for name, lines in roll_forward(session, issue.month).items() if name not in unknown}
    everyones = [one for one in found if one.currency not in unknown]
    partly = bound_statements(session, issue.month, found, unknown)
    sums, bounds = by_currency(everyones), rolled_bounds(session, issue.month)
    refuse([*compare_with_roll_forward(sums, rolled), *check_arithmetic(everyones), *from_bounds(partly, bounds)])
    own = sorted(
        (one for one in (*everyones, *partly) if issue.affiliate in (None, one.affiliate_id)),
        key=lambda one: (one.affiliate_id, one.order),
    )
    if issue.affiliate and not own:
        raise AffiliateNotThere(
            f"Affiliate {issue.affiliate!r} has no statement of {issue.name}: no balance and no conversion. Use "
            "an id of refersion_summaries.affiliates."
        )
    link = folder / OF_ONE / file_name(issue.affiliate) / issue.name if issue.affiliate else folder / issue.name
    with replace_set(link, link.parent / VERSIONS / issue.name, run_id, KEPT) as files:
        rows = select_known(select_conversions(session, issue.month, issue.affiliate), issue.month, partly)
        count = write_set(files.building, issue, own, rows, rolled)
    return dg.MaterializeResult(
        metadata={
            "index": dg.MetadataValue.path(str(files.shown / INDEX)),
            "month": issue.name,
            "affiliates": len({one.affiliate_id for one in own}),
            "statements": len(own),
            "conversions": count,
            "as_of": dg.MetadataValue.timestamp(issue.reading.as_of),
            "ties": dg.MetadataValue.md(tie_table(sums, rolled)),
            "largest": dg.MetadataValue.md(list_largest([one for one in own if isinstance(one, Statement)])),
            "not_known": "; ".join(f"{currency}: {reason}" for currency, reason in unknown.items()),
        },
        check_results=[
            dg.AssetCheckResult(passed=True, check_name=TIES, metadata={"statements": len(everyones) + len(partly)}),
        ],
    )


def choose_request(session: Session, config: StatementsConfig) -> StatementRequest:
    """Returns the request of a configuration. Raises StatementsNotMade."""
    if absent := [f"summaries/{name}" for name in READS if not session.columns(SUMMARIES, name)]:
        raise NothingToState(
            f"Statements read {', '.join(absent)}, which were never built. Run refersion_refresh first."
        )
    reading, first = read_last_reading(session), first_month(session)
    if reading is None:
        raise NothingToState("The account was never read. Run refersion_refresh first.")
    return StatementRequest(choose_month(config.month, reading, first, config.unfinished), reading, config.affiliate)


def refuse_unknown(unknown: Mapping[str, str], issue: StatementRequest) -> None:
    """Raises MonthNotKnown if readings do not show what was due when the month began and ended.

    Args:
        unknown: reason by currency in which the month is not known.
    """
    if unknown:
        told = "; ".join(f"{currency}: {reason}" for currency, reason in unknown.items())
        raise MonthNotKnown(
            f"What was owed in {issue.name} is not known ({told}). Choose a month that was read from its "
            "beginning to a day after its end, or allow it (`allow_unknown`, from a shell --allow-unknown): the "
            "statements then say what is not known, and give the lowest and the highest amount that may have "
            "been owed."
        )


def tie_table(sums: dict[str, Lines], rolled: dict[str, Lines]) -> str:
    """Returns a Markdown table of the statements' sums beside the equal sums of the roll-forward."""
    rows = [
        (currency, line, getattr(sums.get(currency, of), line), getattr(of, line))
        for currency, of in rolled.items()
        for line in SHARED
    ]
    return markdown_table(["currency", "line", "statements", "roll-forward"], rows)


def list_largest(own: list[Statement]) -> str:
    """Returns a Markdown table of the statements with the largest closing balances in each currency."""
    found: dict[str, list[Statement]] = {}
    for one in sorted(own, key=lambda one: (one.order, -one.lines.closing)):
        found.setdefault(one.currency, []).append(one)
    rows = [(currency, one.affiliate_id, one.name, *one.lines) for currency, of in found.items() for one in of[:SHOWN]]
    return markdown_table(["currency", "affiliate", "name", *Lines._fields], rows)

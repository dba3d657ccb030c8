"""The result of a run: tables read, failures, checks, proof and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import DagsterEventType
from dlt.destinations.exceptions import DestinationConnectionError
from rich.console import Console
from rich.text import Text

from refersion_dagster.automation.incidents import reason_of
from refersion_dagster.checks.outcome import NOT_COMPARED
from refersion_dagster.namespace import Namespace
from refersion_dagster.records import error_of, run_log
from refersion_dagster.report.commissions.asset import PATH as REPORT
from refersion_dagster.report.statements.asset import PATH as STATEMENTS
from refersion_dagster.terminal import Sign, figure_tables, number_of, print_signed, wrap
from refersion_dagster.usage.costs import summarize_costs
from refersion_dagster.usage.meter import NOTHING, Usage

if TYPE_CHECKING:
    from refersion_dagster.component.accounts import SelectedAccount
    from refersion_dagster.report.commissions.proof import Coverage

RAW = "refersion"
COVERAGE = ("summaries", "proof_coverage")
# The error of a blocking check's step; the check's own description says more.
CHECK_FAILED = "DagsterAssetCheckFailedError"


@dataclass(frozen=True)
class CheckOutcome:
    """A check of the run and its description; `said` is None if it passed."""

    name: str
    asset: str
    sign: Sign
    said: str | None


@dataclass
class RunOutcome:
    """The result of a run, from Dagster's event log.

    Args:
        succeeded: whether every step succeeded.
        tables: metadata of each materialized asset, by key.
        failures: reasons of failed steps, except checks.
        not_run: number of assets not built because other steps failed.
    """

    run_id: str
    succeeded: bool
    tables: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    checks: list[CheckOutcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    not_run: int = 0

    def with_sign(self, sign: Sign) -> list[CheckOutcome]:
        return [check for check in self.checks if check.sign is sign]

    @property
    def is_well(self) -> bool:
        """Whether everything is up to date and no check failed. A warning is not a failure."""
        return self.succeeded and not self.with_sign(Sign.BAD)


def read_outcome(instance: dg.DagsterInstance, run_id: str) -> RunOutcome:
    """Returns the result of a run that ended."""
    run = instance.get_run_by_id(run_id)
    happened = RunOutcome(run_id, run is not None and run.is_success)
    planned: set[str] = set()
    for entry in run_log(instance, run_id):
        event = entry.dagster_event
        if event is None:
            continue
        if of := entry.asset_materialization:
            happened.tables[of.asset_key.to_user_string()] = {name: one.value for name, one in of.metadata.items()}
        elif found := entry.asset_check_evaluation:
            happened.checks.append(convert_evaluation(found))
        elif event.is_asset_materialization_planned and event.asset_key:
            planned.add(event.asset_key.to_user_string())
        elif event.event_type is DagsterEventType.RUN_FAILURE:
            # A failure outside the steps, such as a resource that cannot be created.
            error = error_of(entry)
            if error and not happened.failures and CHECK_FAILED not in error.text:
                happened.failures.append(error.reason.strip())
        elif event.event_type is DagsterEventType.STEP_FAILURE:
            error = error_of(entry)
            if error is None or CHECK_FAILED not in error.text:
                happened.failures.append(f"{str(event.step_key).replace('__', '/')}: {reason_of(entry)}")
    happened.not_run = len(planned - happened.tables.keys())
    return happened


def convert_evaluation(found: dg.AssetCheckEvaluation) -> CheckOutcome:
    """Converts a check evaluation. A check that compared nothing passes in Dagster but is shown as a warning."""
    asset, said = found.asset_key.to_user_string(), " ".join((found.description or "").split())
    if found.passed and NOT_COMPARED not in found.metadata:
        return CheckOutcome(found.check_name, asset, Sign.GOOD, None)
    is_warning = found.passed or found.severity == dg.AssetCheckSeverity.WARN
    return CheckOutcome(found.check_name, asset, Sign.DOUBT if is_warning else Sign.BAD, said)


def show_summary(
    console: Console, happened: RunOutcome, account: SelectedAccount, seconds: float, usage: Usage = NOTHING
) -> None:
    """Prints the result of a refresh, with the verdict last.

    Args:
        usage: what the run's statements cost.
    """
    raw = f"{account.names.asset_key(RAW).to_user_string()}/"
    read = {key: told for key, told in happened.tables.items() if key.startswith(raw)}
    if read:
        console.print()
        lines = [
            (
                key.removeprefix(raw),
                [told.get(name) for name in ("rows_loaded", "requests_made", "dagster/row_count")],
            )
            for key, told in read.items()
        ]
        names = ("table", "rows read", "requests", "rows in table")
        for table in figure_tables("What was read", names, lines, console.width):
            console.print(table)
        if upto := max((told["window_to"] for told in read.values() if "window_to" in told), default=None):
            console.print(f"Read up to {datetime.fromtimestamp(upto, UTC):%Y-%m-%d %H:%M:%S} UTC.")
    if happened.checks:
        console.print(Text("\nChecks", style="bold"))
        show_checks(console, happened.checks)
    if account.names.asset_key(*COVERAGE).to_user_string() in happened.tables:
        for coverage in read_coverage(account):
            first, *more = wrap(f"Proof: {coverage}.", console, len("Proof: "))
            _print(console, "\n".join([first, *(" " * len("Proof: ") + line for line in more)]))
    if happened.failures or happened.not_run:
        console.print(Text("\nWhat failed", style="bold"))
        for reason in dict.fromkeys(happened.failures):
            print_signed(console, Sign.BAD, reason)
        if happened.not_run:
            not_built = number_of(happened.not_run, "table or report was", "tables and reports were")
            print_signed(console, Sign.NONE, f"{not_built} not built, because their inputs failed.")
    console.print()
    if report := happened.tables.get(account.names.asset_key(*REPORT).to_user_string(), {}).get("report"):
        # Not wrapped, so that the path can be copied.
        console.print(f"Report: {report}", markup=False, soft_wrap=True)
    console.print(_render_verdict(happened, seconds, usage), soft_wrap=not console.is_terminal)


def show_statements(console: Console, happened: RunOutcome, names: Namespace) -> None:
    """Prints the result of a statements run: the location of the statements, or why there are none."""
    key = names.asset_key(*STATEMENTS).to_user_string()
    for reason in dict.fromkeys(happened.failures):
        print_signed(console, Sign.BAD, reason.removeprefix(f"{key}: "))
    made = happened.tables.get(key)
    if made is None:
        console.print(Text(f"No statement was written (run {happened.run_id[:8]}).", "bold red"))
        return
    if made.get("not_known"):
        print_signed(console, Sign.DOUBT, f"Not completely known: {made['not_known']}")
    count = number_of(made["statements"], "statement", "statements")
    of = number_of(made["affiliates"], "affiliate", "affiliates")
    print_signed(console, Sign.GOOD, f"{made['month']}: {count} of {of}")
    console.print(f"Index: {made['index']}", markup=False, soft_wrap=True)


def show_checks(console: Console, checks: Sequence[CheckOutcome]) -> None:
    """Prints a line for each name of passed checks, a line for each other check, and the counts."""
    passed = [check for check in checks if check.sign is Sign.GOOD]
    counts = Counter(check.name for check in passed)
    for name, count in sorted(counts.items()):
        on = next(check.asset for check in passed if check.name == name)
        print_signed(console, Sign.GOOD, f"{name}: {on if count == 1 else f'{count} tables'}")
    for sign in (Sign.DOUBT, Sign.BAD):
        for check in checks:
            if check.sign is sign:
                print_signed(console, sign, f"{check.name} of {check.asset}: {check.said}")
    others = [
        f"{count} {words}"
        for words, count in (
            ("failed", sum(check.sign is Sign.BAD for check in checks)),
            ("warned", sum(check.sign is Sign.DOUBT for check in checks)),
        )
        if count
    ]
    told = ", ".join([f"{len(passed)} of {len(checks)} checks passed", *others])
    _print(console, f"{told}.")


def _print(console: Console, text: str) -> None:
    """Prints a text, wrapped on a terminal and otherwise as one line."""
    console.print(text, markup=False, soft_wrap=not console.is_terminal)


def read_coverage(account: SelectedAccount) -> list[Coverage]:
    """Returns the proof coverage in the account's warehouse, by currency; empty if it cannot be read."""
    from refersion_dagster.report.commissions.proof import Coverage
    from refersion_dagster.report.commissions.queries import rows
    from refersion_dagster.warehouse.errors import WarehouseError
    from refersion_dagster.warehouse.session import UndefinedTable

    try:
        with account.warehouse().session(read_only=True) as session:
            return rows(session, "proof_coverage", Coverage)
    except (UndefinedTable, WarehouseError, DestinationConnectionError):
        return []


def _render_verdict(happened: RunOutcome, seconds: float, usage: Usage) -> Text:
    costs = summarize_costs(usage)
    took = f"{seconds:.0f} s"
    run = f"run {happened.run_id[:8]}"
    failed, warned = len(happened.with_sign(Sign.BAD)), len(happened.with_sign(Sign.DOUBT))
    if not happened.succeeded:
        return Text(f"The refresh failed after {took} ({run}). Tables that failed are unchanged.{costs}", "bold red")
    if failed:
        told = f"Up to date, but {number_of(failed, 'check', 'checks')} failed, in {took} ({run}).{costs}"
        return Text(told, "bold red")
    look = f", {number_of(warned, 'warning', 'warnings')}" if warned else ""
    return Text(f"Up to date{look}, in {took} ({run}).{costs}", "bold green")

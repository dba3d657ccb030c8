"""Three months of an account, with refersion_refresh once a month: nothing is missed, and everything is proven.

The look-back is far shorter than the life of a conversion, so that each month brings changes from before it.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.automation.jobs import refresh_job
from refersion_dagster.checks.assets import all_checks
from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.ingest.specs import GROUP
from refersion_dagster.namespace import USUAL
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.location import SMALL, account_of, fresh_instance, outcome, resources

pytestmark = pytest.mark.exhaustive

MONTHS = ("at first", "a month later", "two months later", "three months later")
PROOFS = ("control_totals", "payment_proof", "commission_roll_forward", "commission_liability")
SUMMARIES = load_summaries()
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Month:
    """What one refresh left behind, and what the account itself said then.

    Args:
        log: of the run.
        checks: each check and whether it passed.
        loaded, account: id, status, payment status, payment, total and commission of every conversion.
        control: the control totals: month, verdict, three differences, interpretation, whether it fits and is kept.
        payments: payment, proof, both differences.
        roll_forward: currency, month, difference, closing.
        liability: what is due by currency.
    """

    log: str
    checks: dict[str, bool]
    loaded: Rows
    account: Rows
    control: Rows
    payments: Rows
    roll_forward: Rows
    liability: dict[str, Decimal]


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Month]]:
    warehouse = Warehouse(duckdb_path=str(tmp_path_factory.mktemp("months") / "warehouse.duckdb"))
    with SandboxServer(SMALL) as sandbox:
        lived: list[Month] = []
        for month in MONTHS:
            if lived:
                sandbox.advance(days=31)
            lived.append(refreshed(sandbox, warehouse, everything=month == MONTHS[-1]))
        yield lived


def refreshed(sandbox: SandboxServer, warehouse: Warehouse, *, everything: bool) -> Month:
    """Runs the job: all of it, or the raw tables and the proofs with what they stand on."""
    assets = [refersion_tables, *summary_assets(SUMMARIES)]
    job = dg.Definitions(
        assets=assets,
        asset_checks=all_checks(SUMMARIES),
        jobs=[refresh_job([key for asset in assets for key in asset.keys], USUAL)],
        resources=resources(account_of(sandbox, lookback_days=45), warehouse),
    ).resolve_job_def("refersion_refresh")
    proofs = dg.AssetSelection.assets(*(["summaries", name] for name in PROOFS))
    wanted = dg.AssetSelection.groups(GROUP) | proofs.upstream()
    selected = None if everything else list(wanted.resolve(job.asset_layer.asset_graph))
    with fresh_instance() as instance:
        run = job.execute_in_process(instance=instance, asset_selection=selected, raise_on_error=False)
        ended = outcome(instance, run.run_id)
        checks = {
            f"{check.asset_key.to_user_string()} {check.check_name}": check.passed
            for check in run.get_asset_check_evaluations()
        }
    assert ended.success, ended.failure
    return Month(
        log="\n".join(ended.log),
        checks=checks,
        loaded=warehouse.query(
            "SELECT id, status, payment_status, payment_id, total, commission_total "
            "FROM refersion_data.conversions WHERE vanished_at IS NULL ORDER BY id"
        ),
        account=sorted(
            (
                f"{row.id}",
                row.status,
                row.payment_status,
                f"{row.payment_id}" if row.payment_id else None,
                row.total,
                row.commission_total,
            )
            for row in sandbox.account.conversions.values()
        ),
        control=warehouse.query(
            "SELECT month, verdict, count_difference, commission_difference, order_total_difference, interpretation, "
            "interpretation_fits, interpretation_kept FROM refersion_summaries.control_totals"
        ),
        payments=warehouse.query(
            "SELECT payment_id, proof, commission_difference, conversions_difference "
            "FROM refersion_summaries.payment_proof"
        ),
        roll_forward=warehouse.query(
            "SELECT currency, month, difference, closing_due FROM refersion_summaries.commission_roll_forward "
            "ORDER BY month"
        ),
        liability=dict(
            warehouse.query("SELECT currency, sum(due) FROM refersion_summaries.commission_liability GROUP BY currency")
        ),
    )


@pytest.fixture(params=range(len(MONTHS)), ids=MONTHS)
def month(request: pytest.FixtureRequest, months: Sequence[Month]) -> Month:
    return months[request.param]


def test_every_conversion_is_as_it_is_in_the_account(month: Month) -> None:
    assert month.loaded == month.account


def test_control_totals_are_refersions_to_the_cent(month: Month) -> None:
    assert {row[1:5] for row in month.control} == {("agrees", 0, 0, 0)}
    assert {row[5:] for row in month.control} == {("its currency only, tests left out", True, True)}


def test_every_payment_is_that_of_its_conversions(month: Month) -> None:
    assert month.payments
    assert {row[1:] for row in month.payments} == {("agrees", 0, 0)}


def test_the_roll_forward_ties_and_ends_with_what_is_due(month: Month) -> None:
    # Readings lie a month apart, so of most months only bounds are known.
    assert {difference for _, _, difference, _ in month.roll_forward} <= {Decimal(0), None}
    closings = {currency: closing for currency, _, _, closing in month.roll_forward}
    assert {currency: closing for currency, closing in closings.items() if closing} == {
        currency: due for currency, due in month.liability.items() if due
    }


def test_every_check_passes(month: Month) -> None:
    assert month.checks
    assert [name for name, passed in month.checks.items() if not passed] == []


def test_each_month_brings_new_conversions_payments_and_changes_from_before_the_look_back(
    months: Sequence[Month],
) -> None:
    """Otherwise the months would prove nothing."""
    for earlier, later in itertools.pairwise(months):
        assert len(later.account) > len(earlier.account)
        assert len(later.payments) > len(earlier.payments)
        assert len({row[0] for row in later.control}) > len({row[0] for row in earlier.control})
        assert "Changes outside the look-back window; reloading " in later.log

"""An account that is read from exports has the figures of the same account by API, wherever its columns allow."""

from pathlib import Path

import pytest

from refersion_dagster.report.commissions.figures import report_figures
from refersion_dagster.report.commissions.render import report_page
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.exports import ExportFormat
from refersion_dagster.summaries.knowledge import NONE, load_gaps
from refersion_dagster_tests.exports.account import RAW, ExportAccount
from refersion_dagster_tests.location import SMALL, account_of, materialise
from refersion_dagster_tests.partial.accounts import (
    AGEING,
    ESTIMATED,
    Partial,
    assert_named,
    assert_true,
    build_all,
    failing,
    figures,
)
from refersion_dagster_tests.report.commissions.report_helpers import MADE

pytestmark = pytest.mark.exhaustive

NEVER = ("affiliate_list", "conversion_totals", "payments", "offers", "clicks")
DENIED = (
    *("approval_rates.approval_rate", "approval_rates.conversions_denied", "approval_rates.quality_rate_by_value"),
    *("commission_by_affiliate.approval_rate", "commission_by_affiliate.commission_denied"),
    *("commission_by_coupon.commission_unqualified", "commission_by_offer.approval_rate"),
    *("commission_daily.commission_denied_of_orders_made", "commission_monthly.conversions"),
    *("commission_liability.accrued", "channel_cost.expected_net_sales", "commission_roll_forward.closing_highest"),
    *("affiliate_activity_rates.affiliates", "control_totals.verdict", "payments.amount"),
)
OWED = (
    *("commission_liability.due", "commission_roll_forward.closing_due", "commission_monthly.net_sales"),
    *("commission_by_affiliate.sales", "commission_by_affiliate.aov", "commission_concentration.top_1_share"),
    *("reversals.reversal_rate_of_orders_made", "affiliates.name", "affiliates.affiliate_code"),
    *("payout_preview.payable_now", "approval_rates.conversions_approved"),
)
# Without renewals told apart, purchases are not known.
OWED_OF_FEW = (
    *("commission_liability.due", "commission_roll_forward.closing_due", "commission_by_affiliate.commission"),
    *("commission_concentration.top_1_share", "affiliates.name", "payout_preview.payable_now"),
)
# Without offers, evidence is shorter. An approval is seen at another time than by API.
ESTIMATES = ESTIMATED | {"approved_at", "evidence"}
EUROPEAN = ExportFormat("utf-16", ";", "America/New_York", "%m/%d/%Y %H:%M:%S", ",", totals=True)
KINDS = [
    pytest.param(ExportFormat(columns="many", totals=True), id="many columns"),
    pytest.param(
        ExportFormat("utf-16", ";", "America/New_York", "%m/%d/%Y %H:%M:%S", ",", totals=True),
        id="few columns, European",
    ),
]
YAML = 'timezone: America/New_York\ntime_format: "%m/%d/%Y %H:%M:%S"\ndecimal: ","\n'


@pytest.mark.parametrize("written", KINDS)
def test_the_csv_account_gives_the_same_summaries_as_the_api_account(tmp_path: Path, written: ExportFormat) -> None:
    by_api, exported = Warehouse(duckdb_path=str(tmp_path / "api.duckdb")), ExportAccount.of(tmp_path)
    few = written.columns == "few"
    with SandboxServer(SMALL) as sandbox:
        for days in (0, 5, 26, 1):
            sandbox.advance(days=days)
            done = materialise(account_of(sandbox, start_date=None), by_api, *(f"refersion/{one}" for one in RAW))
            assert done.success, done.failure
            sandbox.export(exported.folder, written)
            if few:
                (exported.folder / "exports.yaml").write_text(YAML)
            exported.load()
    with by_api.session() as one, exported.warehouse.session() as other:
        build_all(one)
        build_all(other)
        full, found, gaps = figures(one), figures(other), load_gaps(other)
        report = report_page(report_figures(other), [], MADE)
        more = {name: rows for name, rows in failing(other, gaps).items() if rows != failing(one, NONE).get(name)}
    lacks = tuple(table if column is None else f"{table}.{column}" for table, column in gaps)
    assert set(NEVER) <= set(lacks)
    unknown = (*DENIED, *(("commission_by_offer.sales", "payment_proof.proof") if few else ()))
    partial = Partial(
        str(written),
        (),
        lacks=lacks,
        unknown=unknown,
        known=OWED_OF_FEW if few else OWED,
        # The few columns do not say when a row was changed.
        estimates=ESTIMATES | AGEING if few else ESTIMATES,
        # An affiliate who was denied is in no export.
        other_rows=("affiliate_activity", *(["payout_lag"] if few else [])),
    )
    assert "Approval rate" not in report
    assert_named(found, gaps, partial)
    assert_true(found, full, gaps, partial)
    assert not more, "these checks fail for what the exports do not have"

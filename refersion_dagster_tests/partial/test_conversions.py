"""Accounts whose conversions lack fields: the refresh succeeds, what is shown is true, what is missing is named."""

from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.refersion.tables.catalog import CONVERSIONS
from refersion_dagster_tests.partial.accounts import AGEING, ESTIMATED, Full, Partial, examine

pytestmark = pytest.mark.exhaustive

NO_FILTER = {"remove_arguments": ["conversions.payment_status"]}


def without(*fields: str, filled: str = "", **more: Any) -> Partial:
    """An account whose conversions lack these fields, as the sandbox names them.

    Args:
        filled: one of them whose values are known in another way.
    """
    lacking = [column.name for column in CONVERSIONS.columns if column.path[0] in fields and column.path[0] != filled]
    switches = {"remove_fields": [f"Conversion.{one}" for one in fields], **more.pop("switches", {})}
    lacks = tuple(f"conversions.{name}" for name in lacking)
    return Partial(f"no {', '.join(fields)}", ("conversions",), switches, lacks=lacks, **more)


PARTIAL = [
    without(
        "order_id",
        unknown=(
            *("commission_by_affiliate.orders", "commission_by_affiliate.aov"),
            *("reversals.reversal_rate_of_orders_made", "reversals.unmatched_credits_against"),
        ),
        known=(
            *("commission_by_affiliate.commission", "commission_liability.due", "commission_roll_forward.closing_due"),
            *("reversals.reversal_rate_in_month", "reversals.credits_against_in_month"),
        ),
    ),
    without(
        "type",
        unknown=("commission_by_affiliate.conversion_rate", "commission_by_offer.epc"),
        known=("conversions.conversion_kind", "commission_by_affiliate.clicks", "commission_roll_forward.paid"),
    ),
    without(
        "updated", estimates=AGEING, other_rows=("payout_lag",), known=("commission_liability.due", "payments.amount")
    ),
    without(
        "is_test_conversion",
        tests_counted=True,
        estimates=ESTIMATED | {"rows_left_out"},
        known=("commission_liability.due", "control_totals.verdict"),
    ),
    without("coupon_code", unknown=("commission_by_coupon.sales",), known=("commission_by_offer.sales",)),
    without("is_recurring", unknown=("commission_by_affiliate.orders",), known=("commission_by_affiliate.commission",)),
    without("payment_status", filled="payment_status", known=("commission_by_affiliate.commission_paid",)),
    without("payment_status", filled="payment_status", switches=NO_FILTER, known=("commission_roll_forward.paid",)),
    without("payment", known=("commission_roll_forward.paid", "payment_proof.proof")),
    without("payment_id", known=("commission_roll_forward.paid", "payment_proof.proof")),
    without(
        *("payment", "payment_id"),
        unknown=("conversions.paid_at", "payment_proof.conversions_commission"),
        known=("commission_liability.due", "commission_by_affiliate.commission_paid", "payments.amount"),
    ),
    without("affiliate_id", known=("commission_concentration.top_1_share",)),
    without("affiliate", known=("commission_concentration.top_1_share", "commission_by_affiliate.affiliate_name")),
    without(
        *("affiliate", "affiliate_id"),
        unknown=("commission_concentration.top_1_share", "affiliate_activity.never_sold"),
        known=("commission_concentration.commission", "commission_monthly.sales"),
    ),
    without("offer", unknown=("commission_by_offer.sales",), known=("commission_by_coupon.sales",)),
    without("customer", unknown=("conversions.customer_email",), known=("conversions.customer_ip",)),
    without("click", unknown=("conversions.clicked_at",), known=("commission_by_affiliate.commission",)),
    without(
        *("payment_status", "payment", "payment_id"),
        switches=NO_FILTER,
        unknown=("commission_liability.due", "commission_by_affiliate.commission_paid", "commission_roll_forward.paid"),
        # Of an approved conversion it does not matter for these whether it is paid.
        known=(
            *("conversions.is_earned", "conversions.is_sale", "conversions.is_net", "approval_rates.approval_rate"),
            *("commission_by_affiliate.sales", "commission_by_affiliate.commission", "commission_by_affiliate.aov"),
            *("commission_monthly.net_sales", "commission_by_offer.effective_commission_rate", "channel_cost.roas"),
            *("affiliate_trends.sales", "commission_concentration.commission"),
            *("reversals.approved_commission", "reversals.reversal_rate_of_orders_made", "reversals.reversed_in_month"),
        ),
    ),
]


@pytest.mark.parametrize("partial", PARTIAL, ids=str)
def test_what_is_shown_is_true_and_what_is_missing_is_named(full: Full, tmp_path: Path, partial: Partial) -> None:
    examine(full, tmp_path, partial)

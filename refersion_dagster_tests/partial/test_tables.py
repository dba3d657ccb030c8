"""Accounts that lack tables, or fields of tables beside conversions, and plans that refuse parts of the API."""

from pathlib import Path
from typing import Any

import pytest

from refersion_dagster_tests.partial.accounts import ESTIMATED, Full, Partial, examine

pytestmark = pytest.mark.exhaustive

REST = ("affiliate_list", "affiliate_get", "conversion_totals")
BY = ("affiliate", "offer")
PATHS = ("/affiliate/list", "/affiliate/get", "/conversion/totals")


def lacking(name: str, *tables: str, fields: tuple[str, ...] = (), **more: Any) -> Partial:
    """An account without these fields of the schema."""
    return Partial(name, tables, {"remove_fields": fields}, **{"lacks": tables, **more})


CLICKS_OF = {by: tuple(f"commission_by_{by}.{one}" for one in ("clicks", "conversion_rate", "epc")) for by in BY}
# Without PayPal e-mails, what is paid is known of those who are not paid by PayPal; of the others it is NULL, and
# not_known, which is NULL on the full account, says why.
PAID_OTHERWISE = ("payout_preview.payable_now", "payout_preview.not_known")

PARTIAL = [
    Partial(
        "no clicks",
        ("clicks",),
        {"clicks": "none"},
        lacks=("clicks",),
        unknown=(*CLICKS_OF["affiliate"], *CLICKS_OF["offer"]),
        known=("commission_by_affiliate.sales", "commission_by_offer.commission"),
    ),
    lacking(
        *("clicks that do not say whose", "clicks"),
        fields=("Click.affiliate_id",),
        lacks=("clicks.affiliate_id",),
        unknown=CLICKS_OF["affiliate"],
        known=CLICKS_OF["offer"],
    ),
    lacking(
        *("clicks without their offer", "clicks"),
        fields=("Click.offer_id",),
        lacks=("clicks.offer_id",),
        unknown=CLICKS_OF["offer"],
        known=CLICKS_OF["affiliate"],
    ),
    lacking(
        *("no payments", "payments"),
        fields=("Query.payments",),
        unknown=("payment_proof.proof", "payment_proof.amount"),
        known=("commission_roll_forward.paid", "commission_liability.due", "payment_proof.commission_paid"),
    ),
    lacking(
        *("no affiliates", "affiliates"),
        fields=("Query.affiliates",),
        estimates=ESTIMATED | {"not_known"},
        unknown=("affiliates.has_paypal_email",),
        known=(
            *PAID_OTHERWISE,
            "payout_preview.due",
            "affiliates.status",
            "commission_by_affiliate.affiliate_name",
        ),
    ),
    lacking(*("no offers", "offers"), fields=("Query.offers",), known=("commission_by_offer.offer_name",)),
    lacking(
        *("no PayPal e-mail", "affiliates"),
        fields=("Affiliate.paypal_email",),
        lacks=("affiliates.paypal_email",),
        estimates=ESTIMATED | {"not_known", "evidence"},  # the PayPal e-mail is not named in it
        known=(*PAID_OTHERWISE, "commission_liability.due"),
    ),
    lacking(*("no code", "affiliates"), fields=("Affiliate.rfsn_parameter",), lacks=("affiliates.rfsn_parameter",)),
    lacking(
        *("no affiliate of a payment", "payments"),
        fields=("Payment.affiliate",),
        lacks=("payments.affiliate__id", "payments.affiliate__name", "payments.affiliate__email"),
        known=("payments.affiliate_id",),
    ),
    lacking(
        *("no number of conversions", "payments"),
        fields=("Payment.total_conversions",),
        lacks=("payments.total_conversions",),
        unknown=("payments.conversions",),
        known=("payment_proof.commission_difference",),
    ),
    Partial(
        "totals not in the plan",
        ("conversion_totals",),
        {"plan_excludes": ["/conversion/totals"]},
        lacks=("conversion_totals",),
        unknown=("control_totals.verdict",),
        known=("commission_monthly.sales",),
    ),
    Partial(
        "no details of affiliates",
        ("affiliate_get",),
        {"plan_excludes": ["/affiliate/get"]},
        lacks=("affiliate_get",),
        unknown=("affiliates.company",),
        known=("affiliates.affiliate_id", "payout_preview.payable_now"),
    ),
    Partial(
        "REST not in the plan",
        REST,
        {"plan_excludes": list(PATHS)},
        lacks=REST,
        unknown=("affiliates.in_list", "control_totals.verdict"),
        known=("affiliates.name", "commission_liability.due"),
    ),
    Partial("no REST keys", REST, without=("public_key", "api_key"), lacks=REST, known=("affiliates.status",)),
    Partial(
        "nothing of affiliates",
        ("affiliate_list", "affiliate_get", "affiliates"),
        {"plan_excludes": list(PATHS[:2]), "remove_fields": ["Query.affiliates"]},
        lacks=("affiliate_list", "affiliate_get", "affiliates"),
        unknown=("affiliate_activity.status", "payout_preview.payable_now", "commission_liability.block_reason"),
        known=("commission_by_affiliate.affiliate_name", "commission_liability.due"),
    ),
    Partial(
        "no payments, and no introspection",
        ("payments",),
        {"introspection": "refused", "remove_fields": ["Query.payments"]},
        lacks=("payments",),
        unknown=("payment_proof.proof",),
    ),
]


@pytest.mark.parametrize("partial", PARTIAL, ids=str)
def test_what_is_shown_is_true_and_what_is_missing_is_named(full: Full, tmp_path: Path, partial: Partial) -> None:
    examine(full, tmp_path, partial)

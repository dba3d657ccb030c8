"""Metadata that every asset gets: its layer, its page of the documentation, and related assets.

In one place, so that no asset is left out.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

import dagster as dg

CHECKOUT = Path(__file__).resolve().parent.parent
# Where a wheel installs README.md, docs/ and the rest.
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "doc" / "refersion-dagster"
# By the first part of an asset's key: its layer and its page of the documentation.
LAYERS = {
    "refersion": ("raw", "docs/tables.md"),
    "summaries": ("summary", "docs/figures.md"),
    "actions": ("action", "docs/actions.md"),
    "published": ("output", "docs/outputs.md"),
    "report": ("output", "docs/outputs.md"),
}
OWN_FILES = {"refersion/webhook_events": "docs/webhooks.md", "report/statements": "docs/statements.md"}
# Related assets, by the asset or by the first part of its key. Its own lineage is on its page anyway.
SEE_ALSO = {
    "refersion": ("report/commissions",),
    "refersion/conversions": ("summaries/conversions", "refersion/conversion_history", "summaries/control_totals"),
    "refersion/conversion_history": ("summaries/commission_roll_forward", "summaries/payout_lag"),
    "refersion/conversion_readings": ("refersion/conversion_history", "summaries/commission_roll_forward"),
    "refersion/conversion_totals": ("summaries/control_totals",),
    "refersion/payments": ("summaries/payments", "summaries/payment_proof"),
    "refersion/affiliates": ("summaries/affiliates",),
    "refersion/affiliate_list": ("summaries/affiliates",),
    "refersion/affiliate_get": ("summaries/affiliates",),
    "refersion/offers": ("summaries/commission_by_offer",),
    "refersion/webhook_events": ("refersion/conversions",),
    "summaries": ("report/commissions", "published/summaries"),
    "summaries/commission_roll_forward": ("report/statements", "report/commissions"),
    "summaries/conversion_states": ("summaries/due_periods", "summaries/due_bounds"),
    "summaries/due_bounds": ("summaries/commission_roll_forward", "refersion/conversion_readings"),
    "summaries/due_periods": ("report/statements", "summaries/commission_roll_forward"),
    "actions": ("refersion/conversions", "refersion/affiliates"),
    "published": ("report/commissions",),
    "report/commissions": ("report/statements", "published/summaries", "summaries/commission_liability"),
    "report/statements": ("report/commissions", "summaries/commission_roll_forward"),
}


def page(file: str) -> Path | None:
    """A file of the documentation, such as docs/settings.md; None if the installation has none."""
    return next((folder / file for folder in (CHECKOUT, INSTALLED) if (folder / file).is_file()), None)


def documented(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The asset with its layer as a tag, its page of the documentation and related assets."""
    name, first = spec.key.to_user_string(), spec.key.path[0]
    layer, file = LAYERS[first]
    file = OWN_FILES.get(name, file)
    path = page(file)
    links = " · ".join(f"[{other}](/assets/{other})" for other in SEE_ALSO.get(name) or SEE_ALSO[first])
    return spec.merge_attributes(
        tags={"layer": layer},
        metadata={
            "documentation": dg.MetadataValue.path(path) if path else file,
            "see_also": dg.MetadataValue.md(links),
        },
    )


def answers(*questions: str) -> str:
    """The part of a description that lists the questions the asset answers."""
    return "\n\n**Answers**\n" + "\n".join(f"- {question}" for question in questions)

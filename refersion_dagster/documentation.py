"""What every asset tells of itself beside its own words: its layer, where to read on, and the assets to look at next.

Held in one place, so that no asset is left out.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

# Beside the package in a checkout; an installation from a wheel has none, and then assets name the files only.
ROOT = Path(__file__).resolve().parent.parent
# By the first part of an asset's key: its layer and its file of the documentation.
LAYERS = {
    "refersion": ("raw", "README.md"),
    "summaries": ("summary", "docs/figures.md"),
    "actions": ("action", "docs/actions.md"),
    "published": ("output", "docs/explore.md"),
    "report": ("output", "README.md"),
}
OWN_FILES = {"refersion/webhook_events": "docs/webhooks.md", "report/statements": "docs/statements.md"}
# What to look at next, by the asset or by the first part of its key; the asset's own lineage is on its page anyway.
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


def documented(spec: dg.AssetSpec) -> dg.AssetSpec:
    """The asset with its layer as a tag, and metadata that lead on."""
    name, first = spec.key.to_user_string(), spec.key.path[0]
    layer, file = LAYERS[first]
    file = OWN_FILES.get(name, file)
    links = " · ".join(f"[{other}](/assets/{other})" for other in SEE_ALSO.get(name) or SEE_ALSO[first])
    return spec.merge_attributes(
        tags={"layer": layer},
        metadata={
            "documentation": dg.MetadataValue.path(ROOT / file) if (ROOT / file).is_file() else file,
            "see_also": dg.MetadataValue.md(links),
        },
    )


def answers(*questions: str) -> str:
    """The part of a description that says which questions the asset answers."""
    return "\n\n**Answers**\n" + "\n".join(f"- {question}" for question in questions)

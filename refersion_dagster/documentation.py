"""Metadata of every asset: its layer and its documentation page.

Kept in one place, so that no asset is missed.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from refersion_dagster.namespace import Namespace

CHECKOUT = Path(__file__).resolve().parent.parent
# Where a wheel installs README.md, docs/ and the rest.
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "doc" / "refersion-dagster"
# The layer and the documentation page, by the first part of an asset's key.
LAYERS = {
    "refersion": ("raw", "docs/tables.md"),
    "summaries": ("summary", "docs/figures.md"),
    "actions": ("action", "docs/actions.md"),
    "published": ("output", "docs/outputs.md"),
    "report": ("output", "docs/outputs.md"),
}
OWN_FILES = {"refersion/webhook_events": "docs/webhooks.md", "report/statements": "docs/statements.md"}


def page(file: str) -> Path | None:
    """A file of the documentation, such as docs/settings.md; None if the installation has none."""
    return next((folder / file for folder in (CHECKOUT, INSTALLED) if (folder / file).is_file()), None)


def add_documentation(names: Namespace, pages: Mapping[str, str], spec: dg.AssetSpec) -> dg.AssetSpec:
    """The asset with its layer as a tag, and its documentation page.

    Args:
        pages: pages of assets that have another page than their layer, by usual key.
    """
    path = names.usual_path(spec.key)
    layer, file = LAYERS[path[0]]
    file = {**OWN_FILES, **pages}.get("/".join(path), file)
    found = page(file)
    return spec.merge_attributes(
        tags={"layer": layer},
        metadata={"documentation": dg.MetadataValue.path(found) if found else file},
    )


def answers(*questions: str) -> str:
    """The part of a description that lists the questions the asset answers."""
    return "\n\n**Answers**\n" + "\n".join(f"- {question}" for question in questions)

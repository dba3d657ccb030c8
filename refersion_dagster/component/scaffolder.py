"""What `dg scaffold defs refersion_dagster.RefersionComponent shop_eu` writes."""

from __future__ import annotations

import re
from typing import Any

import dagster as dg


class RefersionScaffolder(dg.Scaffolder):
    """Writes a `defs.yaml` whose account has the name of its folder."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        words = re.findall(r"[a-z0-9]+", request.target_path.name.lower())
        account = "_".join(words).lstrip("0123456789_") or "shop"
        dg.scaffold_component(request, {"account": account})

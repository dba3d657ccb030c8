"""Running asset checks alone, as their page in Dagster's UI does."""

from __future__ import annotations

from functools import cache

import dagster as dg

from refersion_dagster.checks.assets import all_checks
from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.location import fresh_instance, made_of_raw_tables, resources
from refersion_dagster_tests.summaries.builders import all_summaries

Evaluations = dict[str, dg.AssetCheckEvaluation]


@cache
def all_keys() -> dict[str, bool]:
    """Every check that has a step of its own, and whether it blocks."""
    return {
        f"{spec.asset_key.to_user_string()}:{spec.name}": spec.blocking
        for check in all_checks(all_summaries())
        for spec in check.check_specs
    }


def evaluate(warehouse: Warehouse, *checks: str, settings: ReportSettings | None = None) -> Evaluations:
    """Runs the checks named `summaries/conversions:affiliates_known`; all that have a step of their own where none is.

    Gives what each found, by that name.
    """
    keys = [
        dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name)
        for asset, name in (check.split(":") for check in checks or all_keys())
    ]
    with fresh_instance() as instance:
        result = dg.materialize(
            [refersion_tables, *made_of_raw_tables(checked=True)],
            selection=dg.AssetSelection.checks(*keys),
            resources={**resources(RefersionResource(), warehouse), "settings": settings or ReportSettings()},
            instance=instance,
            raise_on_error=False,
        )
    return {
        f"{found.asset_key.to_user_string()}:{found.check_name}": found
        for found in result.get_asset_check_evaluations()
    }

"""Published copies of a sandbox account, as a refresh with all checks writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.report.assets import Publishing, published_assets
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.location import account_of, fresh_instance, made_of_raw_tables, outcome, resources


def publish_account(sandbox: SandboxServer, folder: Path, **changes: Any) -> Path:
    """Loads, summarises, checks and publishes an account. Returns the folder of the copies.

    Args:
        changes: fields of the resource that differ from the sandbox's.
    """
    warehouse, published = Warehouse(duckdb_path=str(folder / "warehouse.duckdb")), folder / "published"
    made = made_of_raw_tables(checked=True)
    keys = [spec.key for one in made for spec in one.check_specs]
    with fresh_instance() as instance:
        result = dg.materialize(
            [refersion_tables, *made, *published_assets(load_summaries(), keys)],
            resources={
                **resources(account_of(sandbox, **changes), warehouse),
                "publishing": Publishing(folder=str(published)),
            },
            instance=instance,
            raise_on_error=False,
        )
        done = outcome(instance, result.run_id)
    assert (published / "current").exists(), done.failure
    return published

"""The sandbox's account in a temporary database, to try SQL without an account and without network."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from refersion_dagster.code_location import resources
from refersion_dagster.demo.environment import run_in_sandbox
from refersion_dagster.errors import ReportedError
from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.refresh.run import QUIET
from refersion_dagster.resources import Warehouse
from refersion_dagster.settings import load_settings


class DemoDataNotLoaded(ReportedError):
    """The sandbox's account could not be loaded."""


@contextmanager
def load_demo_data(folder: Path) -> Iterator[Warehouse]:
    """Yields a warehouse in an empty folder, with the raw tables of the demo's account.

    Within the context, this process has the sandbox's settings instead of the user's. Raises DemoDataNotLoaded.
    """
    with run_in_sandbox(folder):
        settings = load_settings()
        with dg.DagsterInstance.ephemeral() as instance, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = dg.materialize(
                [refersion_tables],
                resources=resources(settings),
                instance=instance,
                run_config=QUIET,
                raise_on_error=False,
            )
        if not loaded.success:
            failures = [event.step_failure_data for event in loaded.all_events if event.is_step_failure]
            told = "; ".join(str(one.user_failure_data or one.error) for one in failures)
            raise DemoDataNotLoaded(f"The sandbox's account could not be loaded: {told}")
        yield Warehouse.of(settings.warehouse)

"""The demo's folder, and the environment that points the code location at a sandbox and at that folder.

.demo/
  refersion.duckdb  dagster/  published/
  clock.txt         time of the sandbox's clock, if it was moved
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import env_file_ignored

DATABASE, CLOCK, LOG = "refersion.duckdb", "clock.txt", "dagster.log"
# A DuckLake's catalog, and the folder of its files.
CATALOGUE, FILES = "catalogue.duckdb", "lake"
# Prefix of dlt's settings that the demo keeps, by destination: those of the user's own database.
KEPT = {"postgres": "DESTINATION__POSTGRES__"}
# Settings of every Dagster instance that this package creates.
INSTANCE = Path(__file__).parents[1] / "dagster.yaml"


@contextmanager
def run_in_sandbox(folder: Path, destination: str = "duckdb") -> Iterator[SandboxServer]:
    """Runs a sandbox and points this process's environment at it and at the folder.

    The account is the same each time. The clock starts at the time that `save_clock` saved in this folder, so that the
    database never has a later day than the account.
    """
    folder = folder.resolve()
    (folder / "dagster").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(INSTANCE, folder / "dagster" / "dagster.yaml")
    with (
        SandboxServer() as sandbox,
        isolate_settings(environment(sandbox, folder, destination), KEPT.get(destination)),
    ):
        if (folder / CLOCK).exists():
            sandbox.advance(to=(folder / CLOCK).read_text().strip())
        yield sandbox


def save_clock(folder: Path, now: datetime) -> None:
    """Saves the time of the sandbox's clock."""
    fresh = folder / f".{CLOCK}"
    fresh.write_text(f"{now.isoformat()}\n")
    fresh.replace(folder / CLOCK)


def environment(sandbox: SandboxServer, folder: Path, destination: str) -> dict[str, str]:
    """Returns variables that point the code location and Dagster at the sandbox and the folder, without telemetry."""
    return {
        **sandbox.environment(),
        "REFERSION_DESTINATION": destination,
        "REFERSION_DUCKDB_PATH": str(folder / DATABASE),
        "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG": f"duckdb:///{folder / CATALOGUE}",
        "DESTINATION__DUCKLAKE__CREDENTIALS__STORAGE__BUCKET_URL": str(folder / FILES),
        "REFERSION_PUBLISH_PATH": str(folder / "published"),
        "REFERSION_REPORT_PATH": str(folder / "reports"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


@contextmanager
def isolate_settings(settings: Mapping[str, str], kept: str | None = None) -> Iterator[None]:
    """Sets these variables and hides the user's own settings, in the environment and in .env.

    Args:
        kept: prefix of variables that stay unchanged.
    """
    before = dict(os.environ)
    for name in before:
        if name.startswith(("REFERSION_", "SOURCES__", "DESTINATION__")) and not (kept and name.startswith(kept)):
            del os.environ[name]
    os.environ.update(settings)
    try:
        with env_file_ignored():
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def clear(folder: Path) -> None:
    """Removes only the files that an earlier demo left in its folder."""
    for name in ("dagster", f"{DATABASE}.wal", DATABASE, f"{CATALOGUE}.wal", CATALOGUE, FILES, CLOCK, LOG):
        left = folder / name
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)

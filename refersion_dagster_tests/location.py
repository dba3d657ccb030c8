"""The code location as a user runs it: as processes of `dagster`, or with its assets materialised in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any

import dagster as dg
import duckdb
from dagster_dlt import DagsterDltResource

from refersion_dagster.checks.assets import all_checks
from refersion_dagster.ingest.assets import refersion_tables
from refersion_dagster.refresh.run import QUIET
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.summaries.assets import summary_assets
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.summaries.settings import ReportSettings

REPOSITORY = Path(__file__).parent.parent
COMMANDS = Path(sys.executable).parent
KEYS = ("REFERSION_PUBLIC_KEY", "REFERSION_SECRET_KEY", "REFERSION_GRAPHQL_TOKEN")
# In the past on every machine that runs these tests.
NOW = datetime(2025, 7, 1, tzinfo=UTC)
SMALL = SandboxSettings(affiliates=12, orders=150, days=200, now=NOW)

REST = ("affiliate_list", "affiliate_get", "conversion_totals")
GRAPHQL = ("affiliates", "conversions", "payments", "offers", "clicks")
TABLES = (*REST, *GRAPHQL)
# See the fixture made_once.
MakeOnce = Callable[[str, Callable[[Path], object]], Path]
# The same for all loads, because a command may load a warehouse again that this process has loaded.
SALT = "salt"
# Instances of this process, reused by fresh_instance.
IDLE_INSTANCES: list[dg.DagsterInstance] = []


@dataclass(frozen=True)
class Location:
    """A folder with a warehouse and Dagster's records, and the environment that connects the code location to them."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, sandbox: SandboxServer | None = None) -> Location:
        """Runs get this environment and no other variable of the machine."""
        for name in ("home", "dagster", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        settings = folder / "dagster" / "dagster.yaml"
        if not settings.exists():
            settings.write_text("telemetry:\n  enabled: false\n")
        environment = {
            "PATH": f"{COMMANDS}{os.pathsep}{os.defpath}",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "DAGSTER_HOME": str(folder / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "REFERSION_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
            "REFERSION_RETRY_SECONDS": "20",
            **(sandbox.environment() | {"REFERSION_PII_SALT": SALT} if sandbox else {}),
        }
        return cls(folder, environment)

    def without(self, *names: str) -> Location:
        return replace(self, environment={name: v for name, v in self.environment.items() if name not in names})

    def with_settings(self, **more: str) -> Location:
        return replace(self, environment=self.environment | more)

    @property
    def database(self) -> Path:
        return Path(self.environment["REFERSION_DUCKDB_PATH"])

    def start(self, *command: str, cwd: Path | None = None, output: int | IO[str] = PIPE) -> subprocess.Popen[str]:
        """Start a command of this installation in its own process group.

        Args:
            output: where its output goes. A pipe holds little and has to be read while the command runs.
        """
        return subprocess.Popen(
            [str(COMMANDS / command[0]), *command[1:]],
            cwd=cwd or self.folder,
            env=self.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, cwd: Path | None = None) -> Ended:
        """Run a command of this installation to its end."""
        with self.start(*command, cwd=cwd) as process:
            output, _ = process.communicate(timeout=360)
        return Ended(process.returncode, output)

    def refresh(self) -> Ended:
        return self.run("dagster", "job", "execute", "-m", "refersion_dagster.definitions", "-j", "refersion_refresh")

    def materialise(self, *assets: str) -> Ended:
        selection = ",".join(assets)
        return self.run("dagster", "asset", "materialize", "-m", "refersion_dagster.definitions", "--select", selection)

    @contextmanager
    def records(self) -> Iterator[dg.DagsterInstance]:
        """Dagster's records of the runs."""
        with dg.DagsterInstance.from_config(str(self.folder / "dagster")) as instance:
            yield instance

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.database, sql)

    def counts(self) -> dict[str, int]:
        return counts(self.database)


@dataclass(frozen=True)
class Ended:
    """A finished process: its exit code and its complete output."""

    code: int
    output: str


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run in this process.

    Args:
        metadata: plain values for each materialised asset, by its key.
        log: the messages of the run's log.
        failure: the errors of the failed steps.
    """

    success: bool
    metadata: dict[str, dict[str, Any]]
    log: list[str]
    failure: str


def account_of(sandbox: SandboxServer, **changes: Any) -> RefersionResource:
    given = {
        "public_key": sandbox.public_key,
        "api_key": sandbox.secret_key,
        "graphql_token": sandbox.graphql_token,
        "rest_url": sandbox.rest_url,
        "graphql_url": sandbox.graphql_url,
        "start_date": f"{sandbox.start:%Y-%m-%d}",
        "pii_salt": SALT,
        "retry_seconds": 20,
        **changes,
    }
    return RefersionResource(**given)


def materialise(
    refersion: RefersionResource,
    warehouse: Warehouse,
    *assets: str,
    config: Mapping[str, Any] | None = None,
    checked: bool = False,
) -> Outcome:
    """Materialise assets of the code location (`refersion/offers`; by default all) in this process.

    Args:
        checked: whether asset checks run too.
    """
    raw_alone = not checked and bool(assets) and all(asset.startswith("refersion/") for asset in assets)
    with fresh_instance() as instance:
        result = dg.materialize(
            [refersion_tables, *(() if raw_alone else made_of_raw_tables(checked))],
            selection=[dg.AssetKey(asset.split("/")) for asset in assets] or None,
            resources=resources(refersion, warehouse),
            instance=instance,
            run_config={**QUIET, **({"ops": {"refersion_tables": {"config": dict(config)}}} if config else {})},
            raise_on_error=False,
        )
        return outcome(instance, result.run_id)


def load_small(database: Path, *assets: str) -> None:
    """Materialise these assets (by default all) of a SMALL account, which is the same each time."""
    with SandboxServer(SMALL) as sandbox:
        done = materialise(account_of(sandbox), Warehouse(duckdb_path=str(database)), *assets)
    assert done.success, done.failure


@contextmanager
def fresh_instance() -> Iterator[dg.DagsterInstance]:
    """Dagster in memory, without records.

    Creating an instance takes as long as a small run, because it reads a hundred migrations. A used instance is
    therefore emptied and reused.
    """
    instance = IDLE_INSTANCES.pop() if IDLE_INSTANCES else dg.DagsterInstance.ephemeral()
    try:
        yield instance
    finally:
        instance.wipe()
        IDLE_INSTANCES.append(instance)


@cache
def made_of_raw_tables(checked: bool) -> tuple[dg.AssetsDefinition | dg.AssetChecksDefinition, ...]:
    """The summaries, with or without all asset checks, read and parsed once."""
    summaries = load_summaries()
    return (*summary_assets(summaries), *(all_checks(summaries) if checked else ()))


def resources(refersion: RefersionResource, warehouse: Warehouse) -> dict[str, Any]:
    """The resources of the code location's assets, for this account and warehouse."""
    return {"refersion": refersion, "warehouse": warehouse, "dlt": DagsterDltResource(), "settings": ReportSettings()}


def outcome(instance: dg.DagsterInstance, run_id: str) -> Outcome:
    """The outcome of a run, from Dagster's records."""
    metadata: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    log: list[str] = []
    for entry in instance.all_logs(run_id):
        log.append(entry.user_message)
        event = entry.dagster_event
        if event is None:
            continue
        if of_asset := entry.asset_materialization:
            metadata[of_asset.asset_key.to_user_string()] = {k: v.value for k, v in of_asset.metadata.items()}
        elif event.is_step_failure:
            said = event.step_failure_data.user_failure_data
            failures.append((said.description if said else None) or event.step_failure_data.error_display_string)
    run = instance.get_run_by_id(run_id)
    return Outcome(run is not None and run.is_success, metadata, log, "\n".join(failures))


@contextmanager
def held_open(database: Path) -> Iterator[Path]:
    """Keep a connection open, so that further ones of this process take no time.

    DuckDB calculates with one thread meanwhile: tests run in parallel, and their tables are small.
    """
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET threads = 1")
        yield database


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    # Not read-only: a test that keeps the file open can share it only with connections of the same kind.
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(sql).fetchall()


def counts(database: Path) -> dict[str, int]:
    """Row counts of all existing raw tables."""
    with duckdb.connect(str(database)) as connection:
        found = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'refersion_data' "
            "AND NOT starts_with(table_name, '_') ORDER BY table_name"
        ).fetchall()
        return {name: connection.table(f"refersion_data.{name}").shape[0] for (name,) in found}

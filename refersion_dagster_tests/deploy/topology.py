"""The services of deploy/compose.yaml as plain processes: its commands, environments, secrets and health checks.

Paths, addresses and ports differ from those in containers, and PostgreSQL is the tests' own server.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import psutil
import pytest
import requests
import yaml

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import COMMANDS, KEYS, REPOSITORY, SALT
from refersion_dagster_tests.postgres import HOST, PASSWORD, USER, PostgresDatabase
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.web_page import ask, free_port
from refersion_dagster_tests.webhooks.receiver import SECRET

DEPLOY = REPOSITORY / "deploy"
# How long anything may take where other tests run, too.
SECONDS = 240
ENTRYPOINT = DEPLOY / "entrypoint.sh"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
LAUNCH = """mutation($assets: [AssetKeyInput!]!) {
  launchRun(executionParams: {selector: {
    repositoryLocationName: "refersion_dagster", repositoryName: "__repository__", jobName: "refersion_refresh"
    assetSelection: $assets
  }}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""


@dataclass
class Service:
    """A service of deploy/compose.yaml, started and killed as a container is: with all its processes."""

    name: str
    command: list[str]
    healthcheck: list[str]
    environment: dict[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.folder.parent / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(ENTRYPOINT), *self.command],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def is_healthy(self) -> bool:
        """Whether the health check succeeds, which does not pass through the image's entrypoint."""
        check = subprocess.run(
            self.healthcheck, cwd=self.folder, env=self.environment, capture_output=True, timeout=60, check=False
        )
        return check.returncode == 0

    def wait_until_healthy(self) -> None:
        assert soon(self.is_healthy, SECONDS, every=0.2), self.log.read_text()

    def kill(self) -> None:
        """SIGKILL for every process of the service."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()

    def run_processes(self) -> list[psutil.Process]:
        """The processes of runs, if this is the code server."""
        assert self.process
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


@dataclass
class Topology:
    """All services, and Dagster's records."""

    folder: Path
    ports: dict[str, int]
    records: dg.DagsterInstance
    services: dict[str, Service] = field(default_factory=dict)

    @property
    def warehouse(self) -> Path:
        return self.folder / "data" / "refersion.duckdb"

    def launch_refresh(self, assets: Iterable[dg.AssetKey]) -> str:
        """Launches the refresh of these assets through the web page. Returns the id of its run."""
        chosen = [{"path": list(key.path)} for key in assets]
        launched = ask(self.ports["webserver"], LAUNCH, assets=chosen)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.records.get_run_by_id(run_id)
        assert run
        return run.status

    def retry_of(self, run_id: str) -> str | None:
        """The run that Dagster launched because another one failed."""
        runs = self.records.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
        return runs[0].run_id if runs else None

    def wait_for_retry(self, run_id: str) -> str:
        assert soon(lambda: self.retry_of(run_id) is not None, SECONDS, every=0.2), self.status(run_id)
        retry = self.retry_of(run_id)
        assert retry
        return retry

    def wait_until_built(self, run_id: str, asset: str) -> None:
        """Waits until a run has materialised an asset."""
        key = dg.AssetKey(asset.split("/"))

        def is_built() -> bool:
            entries = self.records.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
            return any(
                entry.asset_materialization and entry.asset_materialization.asset_key == key for entry in entries
            )

        assert soon(is_built, SECONDS, every=0.1), self.log_of(run_id)
        assert self.status(run_id) is dg.DagsterRunStatus.STARTED

    def waiting_events(self) -> int:
        """The number of webhook events that are not loaded yet."""
        return requests.get(f"http://{HOST}:{self.ports['webhooks']}/healthz", timeout=20).json()["waiting"]

    def messages_of(self, run_id: str) -> list[str | None]:
        """The messages of a run's events."""
        return [entry.dagster_event.message for entry in self.records.all_logs(run_id) if entry.dagster_event]

    def log_of(self, run_id: str) -> str:
        return "\n".join(entry.user_message for entry in self.records.all_logs(run_id))


@contextmanager
def topology(folder: Path, database: PostgresDatabase, sandbox: SandboxServer) -> Iterator[Topology]:
    """The services, all healthy.

    Args:
        database: an empty database for Dagster's records.
    """
    home, data = folder / "dagster", folder / "data"
    for made in (home, data, folder / "home", folder / "tmp"):
        made.mkdir(parents=True)
    ports = {name: free_port() for name in ("code", "webserver", "webhooks")}
    (home / "dagster.yaml").write_text(
        replaced((DEPLOY / "dagster.yaml").read_text(), {"poll_interval_seconds: 60": "poll_interval_seconds: 5"})
    )
    (home / "workspace.yaml").write_text(
        replaced((DEPLOY / "workspace.yaml").read_text(), {"host: code": f"host: {HOST}", "4000": f"{ports['code']}"})
    )
    records = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_COMPUTE_LOGS": str(folder / "logs"),
        "DAGSTER_POSTGRES_HOST": HOST,
        "DAGSTER_POSTGRES_PORT": str(database.server.port),
        "DAGSTER_POSTGRES_DB": database.name,
        "DAGSTER_POSTGRES_USER": USER,
    }
    with ExitStack() as stack:
        of_this_process = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in {**records, "DAGSTER_POSTGRES_PASSWORD": PASSWORD}.items():
            of_this_process.setenv(name, value)
        made = Topology(folder, ports, stack.enter_context(dg.DagsterInstance.from_config(str(home))))
        # Two processes at once that create Dagster's tables get in each other's way.
        assert made.records.get_runs_count() == 0
        for name in ("code", "webhooks", "webserver", "daemon"):
            made.services[name] = service(name, folder, ports, records, sandbox)
            stack.callback(made.services[name].stop)
            made.services[name].start()
        for one in made.services.values():
            one.wait_until_healthy()
        yield made


def service(name: str, folder: Path, ports: dict[str, int], records: dict[str, str], sandbox: SandboxServer) -> Service:
    """A service with the secrets and settings that deploy/compose.yaml gives it."""
    said = COMPOSE["services"][name]
    account = sandbox.environment()
    values = {
        **{key: account[key] for key in KEYS},
        "REFERSION_WEBHOOK_SECRET": SECRET,
        "dagster_postgres_password": PASSWORD,
    }
    secrets = folder / "secrets" / name
    secrets.mkdir(parents=True)
    for secret in said["secrets"]:
        (secrets / secret).write_text(f"{values[secret]}\n")
    settings = {key: value for key, value in account.items() if key not in KEYS} if "env_file" in said else {}
    here = {
        "/run/secrets": str(secrets),
        "/opt/dagster": str(folder / "dagster"),
        "0.0.0.0": HOST,  # noqa: S104 - in a container
        **{str(port): str(ports[one]) for one, port in (("code", 4000), ("webserver", 3000), ("webhooks", 8500))},
    }
    environment = {key: replaced(value, here, strict=False) for key, value in said["environment"].items()}
    kind, *healthcheck = said["healthcheck"]["test"]
    assert kind == "CMD"
    return Service(
        name,
        [replaced(word, here, strict=False) for word in said["command"]],
        [found(replaced(word, here, strict=False)) for word in healthcheck],
        {
            "PATH": f"{COMMANDS}{os.pathsep}{DEPLOY}{os.pathsep}{os.defpath}",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONUNBUFFERED": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            **({"REFERSION_PII_SALT": SALT} | settings),
            **environment,
            **(records if "DAGSTER_POSTGRES_HOST" in environment else {}),
        },
        folder / "data",
    )


def found(word: str) -> str:
    """A program of this installation by its path, as the tests' own PATH has another one."""
    return str(COMMANDS / word) if (COMMANDS / word).exists() else word


def replaced(text: str, texts: dict[str, str], strict: bool = True) -> str:
    for shipped, here in texts.items():
        assert shipped in text or not strict, shipped
        text = text.replace(shipped, here)
    return text

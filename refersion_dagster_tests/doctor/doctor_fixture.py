"""The doctor's subject in these tests: a sandbox and a folder, in which a test breaks one thing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from refersion_dagster.doctor.examination import examine
from refersion_dagster.doctor.findings import DoctorCheck, DoctorReport, Status
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import settle

OK, WARNING, FAILED, SKIPPED = Status.OK, Status.WARNING, Status.FAILED, Status.SKIPPED
PII_SALT = "salt_5d0e92b7a1c4"


@dataclass(frozen=True)
class DoctorFixture:
    """A sandbox, a folder with the warehouse and DAGSTER_HOME, and an environment that points to them."""

    sandbox: SandboxServer
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def database(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def set(self, **variables: str | None) -> None:
        """Sets environment variables; None removes one."""
        for name, value in variables.items():
            if value is None:
                self.monkeypatch.delenv(name, raising=False)
            else:
                self.monkeypatch.setenv(name, value)

    def examined(self, dotenv: dict[str, str] | None = None) -> Examination:
        findings = examine(settle(os.environ, dotenv or {}, Path(".env").absolute()))
        told = json.dumps(findings.as_json())
        keys = (self.sandbox.public_key, self.sandbox.secret_key, self.sandbox.graphql_token, PII_SALT)
        # Not even a part of a key is shown.
        assert not [key for key in keys if key in told or key[4:10] in told or key[-6:] in told]
        return Examination(findings)


@dataclass(frozen=True)
class Examination:
    """The doctor's report."""

    findings: DoctorReport

    def __getitem__(self, name: str) -> DoctorCheck:
        (check,) = [check for check in self.findings.checks if check.name == name]
        return check

    @property
    def ok(self) -> bool:
        return self.findings.ok

    def not_well(self, *, but: tuple[str, ...] = ()) -> dict[str, Status]:
        """Returns the checks that are not OK, except those that a test ignores."""
        return {
            check.name: check.status
            for check in self.findings.checks
            if check.status is not OK and check.name not in but
        }


def environment_of(sandbox: SandboxServer, folder: Path) -> dict[str, str]:
    return {
        **sandbox.environment(),
        "REFERSION_PII_SALT": PII_SALT,
        "REFERSION_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
        "DAGSTER_HOME": str(folder / "home"),
        "PATH": os.environ["PATH"],
    }

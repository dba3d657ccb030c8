import shutil
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.doctor.daemon_records import beat
from refersion_dagster_tests.doctor.doctor_fixture import DoctorFixture, environment_of


@pytest.fixture(scope="module")
def dagster_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Dagster home with a running daemon. Tests copy it.

    One for each module, because a heartbeat is valid for half an hour and the suite may take longer.
    """
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        beat(instance)
    return home


@pytest.fixture
def patient(
    sandbox: SandboxServer, dagster_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DoctorFixture:
    """A healthy installation that has not loaded anything yet."""
    shutil.copytree(dagster_home, tmp_path / "home")
    patient = DoctorFixture(sandbox, tmp_path, monkeypatch)
    patient.set(**environment_of(sandbox, tmp_path))
    monkeypatch.chdir(tmp_path)
    return patient


@pytest.fixture
def loaded(patient: DoctorFixture, everything_built: Path) -> DoctorFixture:
    """A healthy installation with everything loaded."""
    shutil.copy(everything_built, patient.database)
    return patient

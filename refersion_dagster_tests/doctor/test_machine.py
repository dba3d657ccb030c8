"""This machine: wrong package versions, full disks, Dagster without a home or a daemon."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.doctor.findings import Status
from refersion_dagster.doctor.machine import check_dagster, check_space
from refersion_dagster.namespace import Namespace
from refersion_dagster_tests.doctor.daemon_records import beat, tick_of
from refersion_dagster_tests.doctor.doctor_fixture import FAILED, WARNING, DoctorFixture


def installed(folder: Path, name: str, version: str, *needs: str) -> None:
    """Creates the metadata of an installed package."""
    metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {n}" for n in needs)]
    metadata.write_text("\n".join(lines) + "\n")


class TestVersions:
    def test_a_package_that_is_too_old_is_named(self, patient: DoctorFixture) -> None:
        installed(patient.folder / "packages", "tenacity", "8.1.0")
        patient.monkeypatch.syspath_prepend(patient.folder / "packages")
        examined = patient.examined()
        assert examined.not_well() == {"versions": FAILED}
        assert examined["versions"].message == "tenacity is 8.1.0, but has to be >=9"
        assert "pip install" in (examined["versions"].remedy or "")

    def test_a_package_that_is_not_there_is_named(self, patient: DoctorFixture) -> None:
        installed(
            patient.folder / "packages",
            "refersion_dagster",
            "9.0",
            "no-such-package-as-this>=1",
            'only-on-windows; sys_platform == "win32"',
            'only-with-an-extra; extra == "dev"',
        )
        patient.monkeypatch.syspath_prepend(patient.folder / "packages")
        assert patient.examined()["versions"].message == "no-such-package-as-this is not installed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB for this test."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no disk can be made here: {error}")
    if done.returncode != 0:
        pytest.skip(f"no disk can be made here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class TestSpace:
    def test_a_disk_that_is_all_but_full_is_a_cross(self, small_disk: Path, patient: DoctorFixture) -> None:
        patient.set(REFERSION_DUCKDB_PATH=str(small_disk / "refersion.duckdb"))
        examined = patient.examined()
        assert examined.not_well() == {"disk_space": FAILED}
        assert f"8 MB free for the database in {small_disk}" in examined["disk_space"].message

    def test_one_without_a_byte_left_cannot_be_written_to_either(
        self, small_disk: Path, patient: DoctorFixture
    ) -> None:
        (small_disk / "full").write_bytes(b"x" * shutil.disk_usage(small_disk).free)
        patient.set(REFERSION_DUCKDB_PATH=str(small_disk / "refersion.duckdb"))
        examined = patient.examined()
        assert examined.not_well() == {"disk_space": FAILED, "warehouse_writable": FAILED}
        assert "No space left on device" in examined["warehouse_writable"].message

    def test_a_database_larger_than_what_is_free_is_told(self, tmp_path: Path) -> None:
        """A staging table exists beside the old one. The file is sparse: it has this size but uses no space."""
        database = tmp_path / "refersion.duckdb"
        with database.open("wb") as file:
            file.truncate(8 * 10**12)
        (check,) = check_space(database)
        assert check.status is Status.WARNING
        assert "Free at least 8000.0 GB" in (check.remedy or "")


class TestDagster:
    def test_without_a_home_the_records_are_where_refresh_keeps_them(self, patient: DoctorFixture) -> None:
        patient.set(DAGSTER_HOME=None)
        examined = patient.examined()
        assert examined.not_well() == {"dagster_home": WARNING, "daemon": WARNING}
        ours = patient.folder / ".dagster"
        assert f"`refersion-dagster refresh` and `dev` keep their records in {ours}" in examined["dagster_home"].message
        assert examined.ok
        patient.home.rename(ours)
        assert patient.examined().not_well() == {"dagster_home": WARNING}  # the doctor finds the daemon that runs there

    @pytest.mark.parametrize(
        ("home", "said"),
        [
            ("nowhere", "is not an absolute path"),
            ("/nowhere/at/all", "is not a folder"),
            pytest.param(
                "/proc",
                "is not writable",
                marks=pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's"),
            ),
        ],
    )
    def test_a_home_that_is_none_is_a_cross(self, patient: DoctorFixture, home: str, said: str) -> None:
        patient.set(DAGSTER_HOME=home)
        examined = patient.examined()
        assert examined.not_well() == {"dagster_home": FAILED, "daemon": WARNING}
        assert said in examined["dagster_home"].message

    def test_settings_of_dagsters_that_cannot_be_read_are_a_cross(self, patient: DoctorFixture) -> None:
        (patient.home / "dagster.yaml").write_text("telemetry: [")
        examined = patient.examined()
        assert examined["dagster_home"].status is FAILED
        assert "dagster.yaml cannot be read" in examined["dagster_home"].message

    def test_a_daemon_that_never_ran_is_told(self, patient: DoctorFixture) -> None:
        (patient.folder / "unused").mkdir()
        patient.set(DAGSTER_HOME=str(patient.folder / "unused"))
        examined = patient.examined()
        assert examined.not_well() == {"daemon": WARNING}
        assert examined["daemon"].message == "not running: schedules and sensors do nothing"
        assert "dagster-daemon run" in (examined["daemon"].remedy or "")

    def test_a_daemon_that_stopped_is_told(self, patient: DoctorFixture) -> None:
        with dg.DagsterInstance.from_config(str(patient.home)) as instance:
            beat(instance, seconds_ago=3600)
        examined = patient.examined()
        assert examined.not_well() == {"daemon": WARNING}
        assert "SENSOR" in examined["daemon"].details["stopped"]

    def test_a_part_of_the_daemon_that_stopped_is_named(self, patient: DoctorFixture) -> None:
        with dg.DagsterInstance.from_config(str(patient.home)) as instance:
            beat(instance, "SENSOR", seconds_ago=3600)
        assert patient.examined()["daemon"].message == "sensor of the daemon is not running"


class TestCodeLocations:
    def at_work(self, patient: DoctorFixture, location: str, instigator: str, days_ago: float) -> None:
        """Records a tick of a schedule of a code location, like the daemon."""
        with dg.DagsterInstance.from_config(str(patient.home)) as instance:
            tick_of(instance, location, instigator, days_ago)

    def test_two_names_of_one_location_are_told(self, patient: DoctorFixture) -> None:
        for location in ("refersion_dagster", "definitions.py"):
            self.at_work(patient, location, "refersion_nightly", days_ago=1)
        examined = patient.examined()
        assert examined.not_well() == {"code_locations": WARNING}
        assert (
            "under 2 names in the last 7 days: definitions.py, refersion_dagster." in examined["code_locations"].message
        )
        assert "location_name: refersion_dagster" in (examined["code_locations"].remedy or "")

    def test_a_name_of_long_ago_and_other_peoples_schedules_are_none(self, patient: DoctorFixture) -> None:
        self.at_work(patient, "refersion_dagster", "refersion_nightly", days_ago=1)
        self.at_work(patient, "old name", "refersion_nightly", days_ago=30)
        self.at_work(patient, "analytics", "dbt_nightly", days_ago=1)
        examined = patient.examined()
        assert examined.not_well() == {}
        assert examined["code_locations"].message == "one: refersion_dagster"

    def test_of_an_account_of_a_project_its_own_schedules_count(self, patient: DoctorFixture) -> None:
        self.at_work(patient, "refersion_dagster", "refersion_nightly", days_ago=1)
        self.at_work(patient, "project", "shop_eu_refersion_nightly", days_ago=1)
        names = Namespace(account="shop_eu", asset_prefix=("shop_eu",))
        found = {check.name: check for check in check_dagster(names)}
        assert found["code_locations"].message == "one: project"
        with dg.DagsterInstance.from_config(str(patient.home)) as instance:
            beat(instance, seconds_ago=3600)
        found = {check.name: check for check in check_dagster(names)}
        assert "Start `dg dev`" in (found["daemon"].remedy or "")

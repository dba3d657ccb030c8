"""Folders of published copies and reports that are not writable are found before a refresh."""

from __future__ import annotations

import sys

import pytest

from refersion_dagster_tests.doctor.doctor_fixture import FAILED, OK, SKIPPED, DoctorFixture


def test_folders_are_looked_at_and_not_made(patient: DoctorFixture) -> None:
    patient.set(REFERSION_PUBLISH_PATH=str(patient.folder / "new" / "copies"))
    examined = patient.examined()
    assert examined["outputs_published"].message == f"{patient.folder / 'new' / 'copies'} is writable"
    assert examined["outputs_reports"].status is OK
    assert not (patient.folder / "new").exists()


def test_one_that_cannot_be_written_is_told(patient: DoctorFixture) -> None:
    (patient.folder / "notes").write_text("mine")
    patient.set(REFERSION_REPORT_PATH=str(patient.folder / "notes"))
    examined = patient.examined()
    assert examined.not_well() == {"outputs_reports": FAILED}
    assert examined["outputs_reports"].remedy == (
        "Give the user that runs Dagster write permission there. Or set REFERSION_REPORT_PATH to another folder."
    )
    assert not examined.ok


def test_a_bucket_whose_package_is_not_installed_is_told(
    patient: DoctorFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    patient.set(REFERSION_PUBLISH_PATH="s3://bucket/copies")
    examined = patient.examined()
    assert examined.not_well() == {"outputs_published": FAILED}
    assert "s3://bucket/copies needs s3fs. Install with: pip install" in examined["outputs_published"].message


def test_an_address_that_makes_no_sense_is_told_once(patient: DoctorFixture) -> None:
    patient.set(REFERSION_PUBLISH_PATH="https://example.com/copies")
    examined = patient.examined()
    assert examined.not_well() == {"settings": FAILED, "outputs_published": SKIPPED}

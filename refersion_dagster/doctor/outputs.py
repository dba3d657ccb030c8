"""Checks the folders of published copies and reports: a local one is writable, one in a bucket is accessible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, skipped
from refersion_dagster.doctor.machine import find_existing, write_probe
from refersion_dagster.report.storage import StorageError, open_folder, storage_errors
from refersion_dagster.settings import OutputSettings, Settings

FIELDS = {"outputs_published": "publish_path", "outputs_reports": "report_path"}
NAMES = tuple(FIELDS)


def check_outputs(settings: Settings) -> Iterator[DoctorCheck]:
    for name, field in FIELDS.items():
        variable = OutputSettings.variable(field)
        if variable in settings.problems:
            yield skipped(name, f"{variable} is not valid")
        else:
            yield _check(name, getattr(settings.outputs, field), f"Or set {variable} to another folder.")


def _check(name: str, address: str, other: str) -> DoctorCheck:
    try:
        folder = open_folder(address)
        if isinstance(folder, Path):
            write_probe(find_existing(folder))
            return passed(name, f"{folder} is writable", folder=str(folder))
        with storage_errors(folder):
            try:
                folder.fs.ls(folder.path, detail=False)
            except FileNotFoundError:
                return passed(name, f"nothing is in {folder} yet; the bucket has to exist", folder=str(folder))
    except StorageError as error:
        return failed(name, str(error), other, folder=address)
    except OSError as error:
        message = f"{error.filename or address}: {error.strerror}"
        return failed(name, message, f"Give the user that runs Dagster write permission there. {other}", folder=address)
    return passed(name, f"{folder} can be read", folder=str(folder))

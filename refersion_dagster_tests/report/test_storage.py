"""Output folders by setting: a local folder, or a bucket whose package and credentials exist."""

from __future__ import annotations

import sys
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from upath import UPath

from refersion_dagster.report.assets import Publishing, how_to_open
from refersion_dagster.report.resource import Reports
from refersion_dagster.report.storage import CLIENTS, StorageNotSet, name_local_folder, open_folder
from refersion_dagster.settings import InvalidSetting, OutputSettings
from refersion_dagster.settings.values import BUCKETS

ACCESS, SECRET = "access-of-tests", "secret-of-tests"


def test_a_path_is_a_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_folder("copies") == tmp_path / "copies"
    assert open_folder("~/copies") == Path.home() / "copies"
    assert Publishing(folder="copies").path == Reports(folder="copies").path == tmp_path / "copies"


@pytest.mark.parametrize("value", ["copies", "/srv/copies", "C:/copies", "s3://bucket", "az://one/two/", "gs://a/b"])
def test_a_setting_may_be_a_folder_or_one_in_a_bucket(value: str) -> None:
    assert OutputSettings.of({"REFERSION_PUBLISH_PATH": value}).publish_path == value.rstrip("/")


@pytest.mark.parametrize("value", ["https://example.com/copies", "s3://", "s3:///folder", "ftp://host/folder"])
def test_another_address_is_refused_by_name(value: str) -> None:
    expected = "it has to be a folder, or an address that begins with s3://, gs:// or az:// and names a bucket"
    with pytest.raises(InvalidSetting, match=f"REFERSION_REPORT_PATH is '{value}'; {expected}"):
        OutputSettings.of({"REFERSION_REPORT_PATH": value})
    with pytest.raises(InvalidSetting, match=expected):
        assert Publishing(folder=value).path


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidSetting, match="REFERSION_PUBLISH_PATH holds a password") as refused:
        OutputSettings.of({"REFERSION_PUBLISH_PATH": f"s3://{ACCESS}:{SECRET}@bucket/folder"})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("scheme", BUCKETS)
def test_without_the_package_the_error_says_what_to_install(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = CLIENTS[scheme]
    needed = [Requirement(text) for text in metadata.requires("refersion-dagster") or ()]
    assert [one.name for one in needed if one.marker and one.marker.evaluate({"extra": scheme})].count(module) == 1
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        StorageNotSet, match=rf"{scheme}://bucket/x needs {module}\. Install with: pip install .*{module}"
    ):
        open_folder(f"{scheme}://bucket/x")


def test_what_is_for_a_bucket_is_written_to_the_folder_of_temporary_files_first(tmp_path: Path) -> None:
    assert name_local_folder(tmp_path) == str(tmp_path)
    assert name_local_folder(UPath("memory://bucket")) == f"{tempfile.gettempdir()}, for memory://bucket,"


def test_what_opens_a_copy_is_python_or_sql(tmp_path: Path) -> None:
    assert how_to_open(tmp_path) == (
        f"```python\nduckdb.connect('{tmp_path}/current/refersion.duckdb', read_only=True)\n```"
    )

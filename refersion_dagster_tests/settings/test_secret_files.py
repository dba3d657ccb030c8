"""Secrets in files: one for each variable, in the folder that REFERSION_SECRETS_DIR names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from refersion_dagster.doctor.inputs import find_inputs
from refersion_dagster.doctor.settings import check_variables
from refersion_dagster.settings import InvalidSetting, Settings, load_settings, settle

FOLDER, NAME, POSTGRES = "REFERSION_SECRETS_DIR", "REFERSION_SECRET_KEY", "DESTINATION__POSTGRES__CREDENTIALS"
ADDRESS = "postgresql://loader@db.example.com/refersion"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As Kubernetes mounts a secret: links to files in a folder that is replaced as a whole."""
    made, data = tmp_path / "secrets", tmp_path / "secrets" / "..data"
    data.mkdir(parents=True)
    for name, text in {NAME: "sec_0123456789\n", POSTGRES: f"  {ADDRESS}\n", "certificate.pem": "of others"}.items():
        (data / name).write_text(text)
        (made / name).symlink_to(data / name)
    return made


def settled(environment: dict[str, str], file: dict[str, str] | None = None, prefix: str = "") -> Settings:
    return settle(environment, file or {}, Path("/somewhere/.env"), prefix=prefix)


def test_each_file_is_a_variable(folder: Path) -> None:
    environment = {FOLDER: str(folder)}
    settings = settled(environment)
    assert environment == {FOLDER: str(folder), NAME: "sec_0123456789", POSTGRES: ADDRESS}
    assert settings.sources == {FOLDER: "environment", NAME: f"{folder / NAME}", POSTGRES: f"{folder / POSTGRES}"}
    key = settings.account.api_key
    assert key
    assert key.get_secret_value() == "sec_0123456789"


def test_the_environment_and_env_take_precedence(folder: Path) -> None:
    for environment, file in (({NAME: "sec_other"}, {}), ({}, {NAME: "sec_other"}), ({NAME: "sec_other"}, {NAME: "x"})):
        given = {FOLDER: str(folder), **environment}
        settled(given, file)
        assert given[NAME] == "sec_other"
    given = {FOLDER: str(folder), NAME: ""}
    assert settled(given).account.api_key is None


def test_env_can_name_the_folder(folder: Path) -> None:
    assert NAME in settled({}, {FOLDER: str(folder)}).variables


def test_an_account_with_a_prefix_has_files_of_its_own(folder: Path) -> None:
    (folder / f"SHOP_EU_{NAME}").write_text("sec_of_the_shop")
    settings = settled({f"SHOP_EU_{FOLDER}": str(folder)}, prefix="SHOP_EU_")
    assert settings.variables[NAME] == "sec_of_the_shop"
    assert NAME not in settled({FOLDER: str(folder)}, prefix="SHOP_EU_").variables


@pytest.mark.parametrize(("environment", "file", "allowed"), [("true", "false", False), (None, "true", True)])
def test_a_file_can_forbid_writes(folder: Path, environment: str | None, file: str, allowed: bool) -> None:
    (folder / "REFERSION_ALLOW_WRITES").write_text(f"{file}\n")
    given = {"REFERSION_ALLOW_WRITES": environment} if environment else {}
    assert settled({FOLDER: str(folder), **given}).actions.allow_writes is allowed


def test_what_cannot_be_read_is_named_without_its_content(folder: Path) -> None:
    with pytest.raises(InvalidSetting, match=rf"/nowhere \({FOLDER}\) cannot be read: No such file or directory\."):
        settled({FOLDER: "/nowhere"})
    (folder / "REFERSION_GRAPHQL_TOKEN").write_bytes(b"hunter2\xff")
    with pytest.raises(InvalidSetting, match="it is not UTF-8 text") as error:
        settled({FOLDER: str(folder)})
    assert str(folder / "REFERSION_GRAPHQL_TOKEN") in str(error.value)
    assert "hunter2" not in str(error.value)


def test_doctor_says_which_file_a_value_is_from_each_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time, the value is in the environment of this process as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER, str(folder))
    monkeypatch.delenv(POSTGRES, raising=False)
    for _ in range(2):
        found = {check.name: check for check in check_variables(find_inputs(load_settings()))}
        assert f"{folder / NAME}: {NAME}" in found["setting_sources"].message
        assert "sec_0123456789" not in found["setting_sources"].message
        assert found["setting_names"].message == "every REFERSION_ variable is known"
    assert os.environ.pop(POSTGRES) == ADDRESS

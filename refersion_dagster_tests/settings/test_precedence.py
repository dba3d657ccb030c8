"""The environment counts over .env in every process, although Dagster's own commands have it the other way round."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import InvalidSetting, Settings, load_settings, settle
from refersion_dagster.settings.env_file import read_env_file
from refersion_dagster_tests.location import Location

pytestmark = pytest.mark.processes

NAME = "REFERSION_LOOKBACK_DAYS"


@pytest.mark.parametrize(
    ("environment", "file", "value", "source"),
    [
        ({}, {}, None, None),
        ({NAME: "5"}, {}, "5", "environment"),
        ({}, {NAME: "60"}, "60", "/somewhere/.env"),
        ({NAME: "5"}, {NAME: "60"}, "5", "environment"),
        ({NAME: "5"}, {NAME: "5"}, "5", "environment"),
        # Set to nothing on purpose: the default counts.
        ({NAME: ""}, {NAME: "60"}, "", "environment"),
        ({"DAGSTER_HOME": "/a"}, {"DAGSTER_HOME": "/b"}, None, None),
    ],
)
def test_the_environment_counts_over_the_file(
    environment: dict[str, str], file: dict[str, str], value: str | None, source: str | None
) -> None:
    found = settle(environment, file, Path("/somewhere/.env"))
    assert environment.get(NAME) == value
    assert found.sources.get(NAME) == source
    assert found.overruled == ((NAME,) if file.get(NAME) not in (None, value) else ())


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert read_env_file(path) == ({}, ())
    path.write_text("A=1\nexport B='two words'\n=3\nC\n")
    found, complaints = read_env_file(path)
    assert found == {"A": "1", "B": "two words"}
    assert complaints == ("statement starting at line 3", "C has no value")
    path.write_bytes(b"A=\xff\xfe")
    with pytest.raises(InvalidSetting, match="it is not UTF-8 text"):
        read_env_file(path)


@pytest.mark.parametrize(
    ("environment", "file", "allowed"),
    [
        (None, None, False),
        ("true", None, True),
        (None, "true", True),
        ("true", "true", True),
        ("false", "true", False),
        ("true", "false", False),
        ("TRUE", " true ", True),
        ("true", "yes", None),
        ("", "true", False),
    ],
)
def test_for_writes_the_stricter_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str | None, file: str | None, allowed: bool | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REFERSION_ALLOW_WRITES", raising=False)
    if environment is not None:
        monkeypatch.setenv("REFERSION_ALLOW_WRITES", environment)
    if file is not None:
        Path(".env").write_text(f'REFERSION_ALLOW_WRITES="{file}"\n')
    settings = load_settings()
    assert settings.actions.allow_writes is bool(allowed)
    if allowed is None:
        assert "it has to be true or false" in (settings.problem() or "")
    else:
        assert settings.problem() is None


@pytest.mark.parametrize("value", ["yes", "1", "on", "TRUE!"])
def test_a_switch_is_true_or_false(value: str) -> None:
    with pytest.raises(InvalidSetting, match=r"REFERSION_ALLOW_WRITES is .*; it has to be true or false"):
        Settings.of({"REFERSION_ALLOW_WRITES": value}).check()


@pytest.mark.parametrize("value", ["many", "1.5", " ", "-1", "1e3"])
def test_a_whole_number_is_one(value: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"{NAME} is .*; it has to be (a whole number|0 or more)"):
        Settings.of({NAME: value}).check()


JOB = """
import dagster as dg
import os
import refersion_dagster.definitions
from refersion_dagster.settings import load_settings
@dg.op
def show(context):
    context.log.info("PII is " + os.environ["REFERSION_PII"])
    context.log.info("look-back is " + os.environ["REFERSION_LOOKBACK_DAYS"])
    context.log.info("from " + load_settings().sources["REFERSION_LOOKBACK_DAYS"])
@dg.job
def shown(): show()
defs = dg.Definitions(jobs=[shown])
"""


@pytest.mark.parametrize("isolated", [False, True], ids=["this process", "a process for each step"])
def test_a_run_of_dagster_has_what_the_environment_said_before_dagster_put_the_file_over_it(
    tmp_path: Path, isolated: bool
) -> None:
    """In processes that it starts, too: what they are started with is the file's already."""
    location = Location.of(tmp_path).with_settings(REFERSION_LOOKBACK_DAYS="5")
    (tmp_path / ".env").write_text("REFERSION_LOOKBACK_DAYS=60\nREFERSION_PII=drop\n")
    executor = "dg.multiprocess_executor" if isolated else "dg.in_process_executor"
    (tmp_path / "shown.py").write_text(JOB.replace("@dg.job", f"@dg.job(executor_def={executor})"))
    ended = location.run("dagster", "job", "execute", "-f", "shown.py", "-j", "shown")
    assert ended.code == 0, ended.output
    assert "look-back is 5" in ended.output
    assert "PII is drop" in ended.output
    assert "from environment" in ended.output


@pytest.mark.parametrize(("exported", "in_file"), [("false", "true"), ("true", "false")])
def test_a_real_run_sends_nothing_unless_both_allow_it(
    sandbox: SandboxServer, tmp_path: Path, exported: str, in_file: str
) -> None:
    location = Location.of(tmp_path, sandbox).with_settings(REFERSION_ALLOW_WRITES=exported)
    (tmp_path / ".env").write_text(f"REFERSION_ALLOW_WRITES={in_file}\n")
    (tmp_path / "credits.yaml").write_text(
        f"ops: {{conversion_manual_credit: {{config: {{requested_by: Ada, launched_on: {datetime.now(UTC):%Y-%m-%d}, "
        "dry_run: false, "
        "items: [{affiliate_id: 1, commission: '1.00', currency: USD, status: PENDING, notes: Bonus}]}}}"
    )
    job = ("-m", "refersion_dagster.definitions", "-j", "actions_conversion_manual_credit", "-c", "credits.yaml")
    ended = location.run("dagster", "job", "execute", *job)
    assert ended.code != 0
    assert "writing to Refersion is off" in ended.output
    assert sandbox.requests() == {}

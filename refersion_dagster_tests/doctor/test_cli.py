"""`refersion-dagster doctor` as a process: exit codes, JSON, .env, and a code location that does not load."""

import json
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import Location

pytestmark = pytest.mark.processes


@pytest.fixture
def location(account: SandboxServer, tmp_path: Path) -> Location:
    return Location.of(tmp_path, account)


def test_a_refresh_that_would_work_is_exit_code_0(location: Location, account: SandboxServer) -> None:
    """With the keys in .env, as after `refersion-dagster env-example > .env`."""
    keys = account.environment()
    (location.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))
    ended = location.without(*keys).run("refersion-dagster", "doctor")
    assert ended.code == 0, ended.output
    assert "✗" not in ended.output
    assert f"{location.folder / '.env'}: {', '.join(sorted(keys))}" in ended.output
    assert ended.output.splitlines()[-1] == "A refresh would work; 1 warning."  # no daemon runs
    assert not (location.folder / "warehouse.duckdb").exists()


def test_one_that_would_not_is_exit_code_1_and_json_tells_why(location: Location, account: SandboxServer) -> None:
    broken = location.with_settings(
        REFERSION_SECRET_KEY="sec_of_somebody_else", REFERSION_NIGHTLY_CRON="every night", REFERSION_START_DATE=""
    )
    ended = broken.run("refersion-dagster", "doctor", "--json")
    assert ended.code == 1
    told = json.loads(ended.output)
    assert told.keys() == {"ok", "checks"}
    assert told["ok"] is False
    assert {frozenset(check) for check in told["checks"]} == {
        frozenset({"name", "status", "message", "remedy", "details"})
    }
    failed = {check["name"]: check for check in told["checks"] if check["status"] == "failed"}
    assert failed.keys() == {"settings", "rest_keys"}
    assert "REFERSION_NIGHTLY_CRON is 'every night'" in failed["settings"]["message"]
    assert all(check["remedy"] for check in failed.values())
    assert "somebody_else" not in ended.output
    assert not [key for key in (account.public_key, account.secret_key, account.graphql_token) if key in ended.output]


def test_help_says_what_it_does_and_what_the_exit_code_means(location: Location) -> None:
    ended = location.run("refersion-dagster", "doctor", "--help")
    assert ended.code == 0
    assert "--json" in ended.output
    assert "exit code" in ended.output

"""The command `refersion-dagster`."""

from pathlib import Path

import pytest

from refersion_dagster_tests.location import Ended, Location
from refersion_dagster_tests.marks import limit_cases


@pytest.fixture(scope="module")
def help_text(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return Location.of(tmp_path_factory.mktemp("cli")).run("refersion-dagster", "--help")


COMMANDS = (
    *("accept-account", "check-sql", "demo", "dev", "doctor", "explore", "new-summary", "refresh", "sandbox"),
    "webhooks",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_each_command_with_what_it_does(help_text: Ended, command: str) -> None:
    assert help_text.code == 0
    (line,) = [line for line in help_text.output.splitlines() if line.startswith(f"  {command} ")]
    assert len(line.split()) > 5


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    ended = Location.of(tmp_path).run("refersion-dagster", "dance")
    assert ended.code == 2
    assert "No such command 'dance'" in ended.output


@pytest.mark.parametrize("port", limit_cases(["0", "70000", "http"]))
def test_dev_takes_no_port_that_is_none(tmp_path: Path, port: str) -> None:
    ended = Location.of(tmp_path).run("refersion-dagster", "dev", "--port", port)
    assert ended.code == 2
    assert "--port" in ended.output
    assert list((tmp_path / "dagster").glob("storage")) == []


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    ended = Location.of(tmp_path).run("refersion-dagster", "--version")
    assert ended.code == 0
    assert "0.1" in ended.output


@pytest.mark.processes
@pytest.mark.parametrize(
    "module", ["refersion_dagster.cli", "refersion_dagster.demo.run", "refersion_dagster.refresh.run"]
)
def test_commands_import_what_starts_threads_only_after_interrupts_are_handled(tmp_path: Path, module: str) -> None:
    """A thread that was there before receives Ctrl-C in the place of the run."""
    seen = Location.of(tmp_path).run("python", "-c", f"import sys, {module}; print(*sys.modules)")
    assert seen.code == 0, seen.output
    assert not {"dlt", "duckdb", "pandas", "pyarrow", "upath"} & set(seen.output.split())

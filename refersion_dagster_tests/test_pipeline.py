"""The plain dlt script, `python -m refersion_dagster.pipeline`, and what a dlt user does afterwards."""

from __future__ import annotations

import signal
from pathlib import Path

import duckdb
import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import KEYS, Ended, Location, query
from refersion_dagster_tests.processes import soon

pytestmark = pytest.mark.processes

SCRIPT = ("python", "-m", "refersion_dagster.pipeline")


def working_folder(folder: Path, sandbox: SandboxServer) -> Location:
    """A folder where a dlt user works: the database is dlt's to place."""
    apart = Location.of(folder, sandbox).without("REFERSION_DUCKDB_PATH")
    return apart.with_settings(DLT_DATA_DIR=str(folder / "dlt"))


@pytest.fixture
def location(account: SandboxServer, tmp_path: Path) -> Location:
    return working_folder(tmp_path, account)


def count(location: Location, table: str) -> int:
    return query(location.folder / "refersion.duckdb", f"SELECT count(*) FROM refersion_data.{table}")[0][0]


@pytest.fixture(scope="module")
def loaded(account: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Location, Ended]:
    """A folder in which the script was run, and what it printed."""
    location = working_folder(tmp_path_factory.mktemp("loaded"), account)
    return location, location.run(*SCRIPT)


def test_neither_dagster_nor_sqlalchemy_are_imported_which_takes_longer_than_a_small_load(location: Location) -> None:
    program = (
        "import sys; from refersion_dagster.pipeline import main; "
        "print('exit code', main(), 'imported', sorted({'dagster', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = location.run("python", "-c", program)
    assert done.output.rstrip().endswith("exit code 0 imported []"), done.output


def test_a_file_that_another_program_has_open_is_named_with_what_to_do(location: Location) -> None:
    with duckdb.connect(str(location.folder / "refersion.duckdb")):
        done = location.run(*SCRIPT)
    assert done.code == 1
    assert "refersion.duckdb cannot be opened for writing" in done.output
    assert "Close it in the other program, or set another file in REFERSION_DUCKDB_PATH" in done.output
    assert "Traceback" not in done.output


def test_it_prints_dlts_load_info_and_leaves_a_dataset(loaded: tuple[Location, Ended], account: SandboxServer) -> None:
    location, done = loaded
    assert done.code == 0, done.output
    assert "LOADED and contains no failed jobs" in done.output
    assert count(location, "conversions") == account.sums()["number_of_conversions"]

    frame = location.run(
        "python",
        "-c",
        'import dlt; print(len(dlt.pipeline("refersion_pipeline").dataset().affiliate_list.df()), "rows")',
    )
    assert f"{account.sums()['affiliates']} rows" in frame.output
    info = location.run("dlt", "pipeline", "refersion_pipeline", "info")
    assert info.code == 0, info.output
    assert "affiliate_list" in info.output


def test_running_it_again_changes_no_count(loaded: tuple[Location, Ended]) -> None:
    location, _ = loaded
    before = count(location, "conversions"), count(location, "payments")
    assert location.run(*SCRIPT).code == 0
    assert (count(location, "conversions"), count(location, "payments")) == before


def test_without_a_token_the_rest_tables_are_loaded_and_the_rest_is_told(location: Location) -> None:
    done = location.without("REFERSION_GRAPHQL_TOKEN").run(*SCRIPT)
    assert done.code == 0, done.output
    assert "Skipped:" in done.output
    assert "REFERSION_GRAPHQL_TOKEN" in done.output
    assert count(location, "affiliate_list") > 0


def test_keys_come_from_dlts_own_configuration_too(location: Location) -> None:
    keys = {name: location.environment[name] for name in KEYS}
    folder = location.folder / ".dlt"
    folder.mkdir()
    (folder / "secrets.toml").write_text(
        "[sources.refersion_source]\n"
        f'api_key = "{keys["REFERSION_PUBLIC_KEY"]}.{keys["REFERSION_SECRET_KEY"]}"\n'
        f'graphql_token = "{keys["REFERSION_GRAPHQL_TOKEN"]}"\n'
    )
    done = location.without(*KEYS).run(*SCRIPT)
    assert done.code == 0, done.output
    assert count(location, "conversions") > 0


def test_a_wrong_key_is_one_helpful_line_and_exit_code_1(location: Location) -> None:
    done = location.with_settings(REFERSION_SECRET_KEY="sec_wrong").run(*SCRIPT)
    assert done.code == 1
    lines = [line for line in done.output.splitlines() if line.startswith("InvalidCredentials")]
    assert len(lines) == 1
    assert "Invalid API credentials (error 2)." in lines[0]
    assert "REFERSION_SECRET_KEY" in lines[0]
    assert "sec_wrong" not in done.output
    assert "Traceback" not in done.output


def test_a_database_that_another_program_has_open_is_said_to_be(location: Location) -> None:
    with duckdb.connect(str(location.folder / "refersion.duckdb")):
        done = location.run(*SCRIPT)
    assert done.code == 1
    assert "Conflicting lock" in done.output
    assert "Traceback" not in done.output


def test_it_loads_where_it_is_run_whatever_was_loaded_elsewhere(account: SandboxServer, tmp_path: Path) -> None:
    """One user, whose dlt remembers the first folder."""
    location = working_folder(tmp_path, account)
    conversions = account.sums()["number_of_conversions"]
    for name, settings in (("a", {}), ("b", {}), ("c", {"REFERSION_DUCKDB_PATH": "kept.duckdb"})):
        folder = tmp_path / name
        folder.mkdir()
        done = location.with_settings(**settings).run(*SCRIPT, cwd=folder)
        assert done.code == 0, done.output
        database = folder / settings.get("REFERSION_DUCKDB_PATH", "refersion.duckdb")
        assert query(database, "SELECT count(*) FROM refersion_data.conversions") == [(conversions,)]


def test_dotenv_is_read_and_help_is_help(location: Location) -> None:
    (location.folder / ".env").write_text("REFERSION_LOOKBACK_DAYS=many\n")
    done = location.run(*SCRIPT)
    assert done.code == 1
    assert "REFERSION_LOOKBACK_DAYS is 'many'; it has to be a whole number." in done.output
    assert "Traceback" not in done.output
    helped = location.run(*SCRIPT, "--help")
    assert helped.code == 0
    assert helped.output.startswith("Usage: python -m refersion_dagster.pipeline [OPTIONS]")
    assert not (location.folder / "refersion.duckdb").exists()


def test_ctrl_c_is_one_line(sandbox: SandboxServer, tmp_path: Path) -> None:
    sandbox.fault("rest:/affiliate/list", "latency", times=5, seconds=5)
    location = working_folder(tmp_path, sandbox)
    with location.start(*SCRIPT) as process:
        assert soon(lambda: bool(sandbox.requests()), 60)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.strip().splitlines()[-1] == "Stopped. Committed data is kept; the next run continues from there."
    assert "Traceback" not in said

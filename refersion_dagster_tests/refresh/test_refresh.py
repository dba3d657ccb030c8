"""`refersion-dagster refresh` as a process: quiet, with its progress, a summary and an exit code."""

from __future__ import annotations

import io
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import psutil
import pytest
from rich.console import Console

from refersion_dagster.component.accounts import usual_account
from refersion_dagster.refresh.summary import read_outcome, show_summary
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import KEYS, TABLES, Ended, Location
from refersion_dagster_tests.processes import with_variable
from refersion_dagster_tests.refresh.pseudo_terminal import PseudoTerminal

pytestmark = pytest.mark.processes

COMMAND = ("refersion-dagster", "refresh")
WIDTHS = (60, 80, 120)


@dataclass(frozen=True)
class Refreshed:
    """A first refresh whose output goes to a file, and one on a narrow terminal after the warehouse was damaged."""

    location: Location
    first: Ended
    blocked: PseudoTerminal
    blocked_code: int

    @property
    def runs(self) -> list[dg.DagsterRun]:
        with self.location.records() as instance:
            return list(instance.get_runs(ascending=True))


@pytest.fixture(scope="module")
def refreshed(account: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Refreshed:
    location = Location.of(tmp_path_factory.mktemp("refreshed"), account)
    first = location.run(*COMMAND)
    assert first.code == 0, first.output
    with duckdb.connect(str(location.database)) as connection:
        # As dlt does it where a value is of another type than its column; no reading again takes it away.
        connection.execute("ALTER TABLE refersion_data.offers ADD COLUMN rate__v_text VARCHAR")
    blocked = PseudoTerminal.start(location, 60, *COMMAND)
    return Refreshed(location, first, blocked, blocked.end())


def section(lines: list[str], title: str) -> list[str]:
    """The lines below a title, up to the next empty one."""
    below = lines[lines.index(title) + 1 :]
    return below[: below.index("")] if "" in below else below


def test_what_goes_to_a_file_are_plain_lines(refreshed: Refreshed) -> None:
    output = refreshed.first.output
    assert "\x1b" not in output
    assert "\r" not in output
    assert not re.search(r"DEBUG|Warning|Traceback|STEP_|RUN_", output)
    assert len(output.splitlines()) < 60


def test_each_table_is_told_as_it_comes_in(refreshed: Refreshed) -> None:
    lines = refreshed.first.output.partition("What was read")[0].splitlines()
    for table in TABLES:
        assert any(line.startswith(f"  ✓ {table}: ") and "rows loaded" in line for line in lines), table


def test_the_summary_tells_what_was_read(refreshed: Refreshed) -> None:
    told = refreshed.first.output.partition("What was read")[2].partition("Read up to")[0].splitlines()
    of_table = {line.split()[0]: line.split()[1:] for line in told if line.split()}
    counts = refreshed.location.query("SELECT count(*) FROM refersion_data.conversions")
    rows, requests, there = of_table["conversions"]
    assert rows == there == f"{counts[0][0]:,}"
    assert int(requests) > 0
    assert set(TABLES) <= set(of_table)
    assert of_table["conversion_history"][:2] == ["–", "–"]
    assert "Read up to 2025-07-01 00:00:01 UTC." in refreshed.first.output.splitlines()


def test_the_requests_are_all_that_the_account_was_asked(account: SandboxServer, refreshed: Refreshed) -> None:
    """But for two: which account it is, and whether totals can be asked for by currency."""
    with refreshed.location.records() as instance:
        happened = read_outcome(instance, refreshed.runs[0].run_id)
    told = sum(table.get("requests_made", 0) for table in happened.tables.values())
    assert told > 50
    assert sum(account.requests().values()) >= told


def test_the_summary_tells_checks_proof_report_and_verdict(refreshed: Refreshed) -> None:
    lines = refreshed.first.output.splitlines()
    checks = section(lines, "Checks")
    assert any(re.fullmatch(r"  ✓ primary_key: \d+ tables", line) for line in checks)
    (count,) = [re.fullmatch(r"(\d+) of (\d+) checks passed\.", line) for line in checks if "checks passed" in line]
    assert count
    assert count[1] == count[2]
    proofs = [re.match(r"Proof: ([A-Z]{3}): .*proven", line) for line in checks if line.startswith("Proof")]
    assert [proof and proof[1] for proof in proofs] == ["USD", "EUR", "GBP"]
    report = refreshed.location.folder / "refersion_reports" / "latest.html"
    assert lines[-2] == f"Report: {report}"
    assert report.exists()
    assert re.fullmatch(r"Up to date, in \d+ s \(run \w{8}\)\.", lines[-1])


def test_it_is_the_same_run_as_dagsters(refreshed: Refreshed) -> None:
    first, blocked = refreshed.runs
    assert {first.job_name, blocked.job_name} == {"refersion_refresh"}
    assert (first.status, blocked.status) == (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)
    assert "ops" not in first.run_config
    assert f"(run {first.run_id[:8]})" in refreshed.first.output


def test_a_blocking_check_that_fails_is_exit_code_1_with_its_sentence(refreshed: Refreshed) -> None:
    lines = refreshed.blocked.lines
    assert refreshed.blocked_code == 1, refreshed.blocked.raw
    told = " ".join(" ".join(section(lines, "Checks")).split())
    assert "✗ no_variant_columns of refersion/offers: Values of offers are in a column that no figure reads" in told
    assert re.search(r"\d+ of \d+ checks passed, 1 failed\.", told)
    assert "not built, because their inputs failed." in " ".join(" ".join(lines).split())
    assert lines[-2].startswith("The refresh failed after ") or lines[-3].startswith("The refresh failed after ")
    assert "Traceback" not in refreshed.blocked.raw
    assert "DagsterAssetCheckFailedError" not in refreshed.blocked.raw


def test_on_a_terminal_a_bar_goes_by_and_leaves_nothing(refreshed: Refreshed) -> None:
    assert "\x1b[?25l" in refreshed.blocked.raw  # the cursor is hidden while the bar is there, and then shown again
    assert refreshed.blocked.raw.count("\x1b[?25l") == refreshed.blocked.raw.count("\x1b[?25h")
    assert re.search(r"\d+/\d+", refreshed.blocked.raw)
    assert not [line for line in refreshed.blocked.lines if re.search(r"\d+/\d+ ", line)]
    path = str(refreshed.location.folder)
    assert max(len(line) for line in refreshed.blocked.lines if path not in line) <= 60


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("run", [0, 1])
def test_the_summary_fits_any_width(
    refreshed: Refreshed, run: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFERSION_DUCKDB_PATH", str(refreshed.location.database))
    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=True, color_system=None, highlight=False)
    with refreshed.location.records() as instance:
        show_summary(console, read_outcome(instance, refreshed.runs[run].run_id), usual_account(), 1)
    lines = screen.getvalue().splitlines()
    path = str(refreshed.location.folder)
    assert max(len(line) for line in lines if path not in line) <= width
    assert "conversion_history" in screen.getvalue()
    assert ("Proof: " in screen.getvalue()) is (run == 0 or "Proof: " in refreshed.blocked.raw)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            dict.fromkeys(KEYS, ""),
            [
                "Error: Refersion's REST API requires a key pair, but REFERSION_PUBLIC_KEY and "
                "REFERSION_SECRET_KEY are",
                "Error: Refersion's GraphQL API, the only source of individual conversions, payments and offers, "
                "requires",
            ],
        ),
        (
            {"REFERSION_LOOKBACK_DAYS": "many", "REFERSION_REPORT_TIMEZONE": "Mars"},
            ["Error: REFERSION_LOOKBACK_DAYS is 'many'", "REFERSION_REPORT_TIMEZONE"],
        ),
        ({"REFERSION_GRAPHQL_TOKEN": "gql_…"}, ["Error: REFERSION_GRAPHQL_TOKEN is a placeholder from an example"]),
    ],
)
def test_settings_that_cannot_work_end_it_before_there_is_a_run(
    account: SandboxServer, tmp_path: Path, settings: dict[str, str], said: list[str]
) -> None:
    location = Location.of(tmp_path, account).with_settings(**settings)
    ended = location.run(*COMMAND)
    assert ended.code == 1
    lines = ended.output.splitlines()
    assert len(lines) <= 4
    for words in said:
        assert any(words in line for line in lines), ended.output
    assert not location.database.exists()
    assert not (tmp_path / "dagster" / "storage").exists()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A warehouse that this process has open."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")):
        yield tmp_path / "warehouse.duckdb"


def test_a_run_that_waits_for_the_warehouse_in_vain_gives_up_once(account: SandboxServer, held: Path) -> None:
    """The step would be tried again twice, a minute later each time."""
    location = Location.of(held.parent, account).with_settings(REFERSION_LOCK_TIMEOUT_SECONDS="2")
    ended = location.run(*COMMAND)
    assert ended.code == 1, ended.output
    assert "waiting up to 2 s for it to be closed." in ended.output
    (told,) = [line for line in section(ended.output.splitlines(), "What failed") if "✗" in line]
    assert re.search(r"✗ refersion_tables: .*is still open in another program .* after 2 s", told)
    with location.records() as instance:
        (run,) = instance.get_runs()
        retries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
        waits = [entry for entry in instance.all_logs(run.run_id) if "for it to be closed" in entry.user_message]
    assert (list(retries), len(waits)) == ([], 1)


def blocks(process: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    (mask,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:")]
    return bool(int(mask, 16) & 1 << (number - 1))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_is_one_line_and_the_run_is_canceled(
    account: SandboxServer, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    location = Location.of(tmp_path, account)
    running = PseudoTerminal.start(location, 80, *COMMAND)
    running.read_until("affiliate_get: ")
    # Dagster ends these by SIGTERM, and waits half a minute for each that does not hear it.
    followers = psutil.Process(running.process.pid).children(recursive=True)
    assert [child.name() for child in followers if "tail" in child.name()]
    assert not any(blocks(child.pid, signal.SIGTERM) for child in followers)
    before = len(running.raw)
    running.process.send_signal(number)
    assert running.end() == code
    after = running.raw[before:]
    assert after.count("Stopped. Committed data is kept; the next run continues from there.") == 1
    assert "Traceback" not in running.raw
    assert running.raw.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in after
    with location.records() as instance:
        (run,) = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.CANCELED
    assert with_variable("HOME", location.environment["HOME"]) == []

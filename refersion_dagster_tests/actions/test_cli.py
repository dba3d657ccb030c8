"""The example of docs/actions.md: credits from a file, a run that is killed, and how a person resolves it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

from refersion_dagster.cli import main
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of, csv_file
from refersion_dagster_tests.location import Location
from refersion_dagster_tests.processes import soon

Command = Callable[..., Result]
ROUTE = "rest:/conversion/manual_credit"


@pytest.fixture
def actions(actions_of_processes: ActionsHarness) -> ActionsHarness:
    return actions_of_processes


@pytest.fixture
def command(actions: ActionsHarness, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`refersion-dagster actions`, configured for the sandbox and the warehouse."""
    monkeypatch.chdir(actions.database.parent)
    for name, value in actions.sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REFERSION_DUCKDB_PATH", str(actions.database))

    def run(*words: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(main, ["actions", *words], input=answer)

    return run


def open_credit(actions: ActionsHarness, *, acted: bool) -> str:
    """Sends a credit whose response is lost. Returns its key."""
    actions.sandbox.fault(ROUTE, "reset", applied=acted)
    assert actions.send(CREDIT, [credit_of(actions.affiliate())]) == ["unknown"]
    return actions.journal()[0].key


@pytest.mark.exhaustive
def test_a_run_that_is_killed_in_a_call_is_settled_and_gone_on_with(actions: ActionsHarness, command: Command) -> None:
    folder = actions.database.parent
    lines = [f"{actions.affiliate(number).id},{number + 1}.00,USD,PENDING,Bonus" for number in range(4)]
    csv_file(folder / "credits.csv", "affiliate_id,commission,currency,status,notes", *lines)
    (folder / "credits.yaml").write_text(
        f"ops: {{conversion_manual_credit: {{config: {{requested_by: Ada, launched_on: {datetime.now(UTC):%Y-%m-%d}, "
        "file: credits.csv, dry_run: false}}}"
    )
    location = Location.of(folder, actions.sandbox).with_settings(
        REFERSION_DUCKDB_PATH=str(actions.database), REFERSION_ALLOW_WRITES="true"
    )
    actions.sandbox.fault(ROUTE, "latency", after=2, seconds=0.5)
    job = ("-m", "refersion_dagster.definitions", "-j", "actions_conversion_manual_credit", "-c", "credits.yaml")
    with location.start("dagster", "job", "execute", *job) as process:
        assert soon(lambda: actions.writes().get(ROUTE) == 3, seconds=60), process.communicate()[0]
        os.killpg(process.pid, signal.SIGKILL)
    assert soon(lambda: len(actions.credits()) == 3)

    listed = command("list")
    assert listed.exit_code == 0, listed.output
    (entry,) = json.loads(command("list", "--json").stdout)
    assert entry["key"][:8] in listed.output
    assert (entry["place"], entry["outcome"], entry["requested_by"]) == ("row 4", "unknown", "Ada")
    shown = command("show", entry["key"][:8])
    assert "Refersion now: it was done. Found in Refersion: the notes of conversion" in shown.output
    settled = command("settle", entry["key"][:8], "--as", "done", "--by", "Grace", answer="y\n")
    assert "Settled. It is not sent again." in settled.output

    items = [credit_of(actions.affiliate(number), f"{number + 1}.00") for number in range(4)]
    assert actions.perform(CREDIT, items) == ["done"]
    assert sorted(actions.credits()) == [Decimal(number + 1) for number in range(4)]
    assert actions.query(
        "SELECT commission, outcome, settled_by FROM refersion_data.conversion_manual_credit ORDER BY commission"
    ) == [(Decimal(number + 1), "done", "Grace" if number == 2 else None) for number in range(4)]


def test_what_was_done_is_not_settled_as_not_done(actions: ActionsHarness, command: Command) -> None:
    key = open_credit(actions, acted=True)
    refused = command("settle", key, "--as", "not-done", "--yes")
    assert refused.exit_code == 1
    assert "If it is settled as not done, it will be sent a second time." in refused.output
    assert actions.outcomes() == ["unknown"]
    assert command("settle", key, "--as", "not-done", "--yes", "--despite-evidence").exit_code == 0
    assert actions.outcomes() == ["not_done"]


def test_a_decision_is_confirmed(actions: ActionsHarness, command: Command) -> None:
    key = open_credit(actions, acted=False)
    assert "Settle it as not done? [y/N]" in command("settle", key, "--as", "not-done", answer="n\n").output
    assert actions.outcomes() == ["unknown"]


def test_without_refersion_a_person_can_still_decide(
    actions: ActionsHarness, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = open_credit(actions, acted=False)
    monkeypatch.setenv("REFERSION_GRAPHQL_TOKEN", "gql_this_is_not_the_token")
    settled = command("settle", key, "--as", "done", "--conversion-id", "4711", "--note", "seen", "--yes")
    assert "Refersion could not be queried" in settled.output
    assert settled.exit_code == 0
    assert actions.query("SELECT conversion_id, message FROM refersion_data.conversion_manual_credit")[0][0] == "4711"


def test_nothing_open_is_said_so(actions: ActionsHarness, command: Command) -> None:
    assert "Nothing is open." in command("list").output
    assert actions.send(CREDIT, [credit_of(actions.affiliate())]) == ["done"]
    assert "Nothing is open." in command("list").output
    assert "12.50" in command("list", "--all").output
    assert command("list", "--all", "--endpoint", "affiliate_new").output == "Nothing was sent yet.\n"


def test_a_key_that_is_none_is_told(command: Command) -> None:
    for words in (("show", "zzz"), ("settle", "zzz", "--as", "done")):
        ended = command(*words)
        assert ended.exit_code == 1
        assert "The journal has no item with the key zzz" in ended.output


def test_no_warehouse_is_made_by_looking(
    command: Command, actions: ActionsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFERSION_DUCKDB_PATH", "elsewhere.duckdb")
    assert "elsewhere.duckdb does not exist" in command("list").output
    assert not (actions.database.parent / "elsewhere.duckdb").exists()


def test_settings_are_read_from_the_env_file(
    actions: ActionsHarness, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REFERSION_DUCKDB_PATH")
    (actions.database.parent / ".env").write_text(f"REFERSION_DUCKDB_PATH={actions.database}\n")
    assert "Nothing is open." in command("list").output
    monkeypatch.delenv("REFERSION_DUCKDB_PATH")


def test_a_setting_that_makes_no_sense_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFERSION_LOCK_TIMEOUT_SECONDS", "soon")
    assert "REFERSION_LOCK_TIMEOUT_SECONDS is 'soon'; it has to be a whole number." in command("list").output


def test_fields_are_explained(command: Command) -> None:
    assert "conversion_manual_credit_order_id" in command("fields").output
    told = command("fields", "conversion_manual_credit").output
    assert "One of APPROVED, PENDING." in told
    assert "Header of a CSV file: affiliate_id,commission,currency,status,notes,key" in told
    assert command("fields", "nonsense").exit_code == 1


def test_help_says_what_there_is(command: Command) -> None:
    told = command("--help").output
    for words in ("actions_conversion_manual_credit", "list ", "show ", "settle ", "fields "):
        assert words in told

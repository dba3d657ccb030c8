"""A journal outside of the warehouse: copies of it, what is refused, and moving it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from refersion_dagster.actions.journal.completeness import JournalIncomplete
from refersion_dagster.actions.journal.journal import Journal
from refersion_dagster.actions.journal.sqlite_store import JournalUnusable
from refersion_dagster.actions.journal.store import TwoJournals
from refersion_dagster.actions.journal.transfer import CannotMove, move_journal
from refersion_dagster.doctor.findings import Status
from refersion_dagster.doctor.warehouse import check_journal
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import InvalidSetting, WarehouseSettings
from refersion_dagster.warehouse.errors import WarehouseBusy, WarehouseNotSet, WarehouseUnreachable
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.conftest import journal_address
from refersion_dagster_tests.actions.processes import killed
from refersion_dagster_tests.marks import EXHAUSTIVE, limit_cases

COPIED = f"SELECT key, outcome, attempt, copied_at IS NOT NULL FROM refersion_data.{CREDIT} ORDER BY key"


@pytest.fixture(params=limit_cases(["sqlite", "postgres"]))
def actions(request: pytest.FixtureRequest, sandbox: SandboxServer, tmp_path: Path) -> ActionsHarness:
    """An account, an empty warehouse, and a journal in each store."""
    return ActionsHarness(sandbox, tmp_path / "warehouse.duckdb", journal_address=journal_address(request))


def send(actions: ActionsHarness, *keys: str) -> list[str]:
    items = [credit_of(actions.affiliate("abc".index(key)), key=key) for key in keys]
    return actions.perform(CREDIT, items, check_warehouse=False)


def new_warehouse(actions: ActionsHarness) -> ActionsHarness:
    """The same account with a new, empty warehouse."""
    return replace(actions, database=actions.database.with_name("other.duckdb"))


class TestTheWarehouse:
    @EXHAUSTIVE
    def test_has_a_copy_and_no_journal(self, actions: ActionsHarness) -> None:
        assert send(actions, "a", "b") == ["done", "done"]
        assert [entry.key for entry in actions.journal()] == ["a", "b"]
        assert actions.query(COPIED) == [("a", "done", 1, True), ("b", "done", 1, True)]
        assert actions.warehouse.row_counts(["action_journal"]) == {}

    @EXHAUSTIVE
    def test_gets_a_whole_copy_where_it_is_new(self, actions: ActionsHarness) -> None:
        send(actions, "a", "b")
        other = new_warehouse(actions)
        assert send(other, "b", "c") == ["done"]
        assert [key for key, *_ in other.query(COPIED)] == ["a", "b", "c"]

    def test_that_knows_more_than_the_journal_sends_nothing(
        self, actions: ActionsHarness, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        """The journal is lost, an old backup of it, or that of another account."""
        send(actions, "a", "b")
        lost = replace(actions, journal_address=f"sqlite:///{tmp_path / 'new.sqlite'}")
        with pytest.raises(JournalIncomplete, match=r"2 of 2 items in .+ are not in the journal, such as .+ key a"):
            send(lost, "a")
        with pytest.raises(JournalIncomplete):
            lost.plan(lost.order(CREDIT, [credit_of(actions.affiliate())]))
        assert len(actions.credits()) == 2

    @EXHAUSTIVE
    def test_with_a_journal_of_its_own_sends_nothing_until_it_is_moved(self, actions: ActionsHarness) -> None:
        inside = replace(actions, journal_address=None)
        send(inside, "a")
        with pytest.raises(TwoJournals, match=r"there is one in the warehouse .+ with 1 entries. Move them"):
            send(actions, "a")
        (check,) = check_journal(actions.warehouse, True)
        assert (check.status, "journal with 1 entries" in check.message) == (Status.FAILED, True)

        assert move_journal(actions.warehouse, None, print) == 1

        assert send(actions, "a", "b") == ["done"]
        assert [entry.key for entry in actions.journal()] == ["a", "b"]
        assert [key for key, *_ in actions.query(COPIED)] == ["a", "b"]
        (check,) = check_journal(actions.warehouse, True)
        assert check.status is Status.OK


class TestAMove:
    @EXHAUSTIVE
    def test_is_refused_where_both_have_entries(self, actions: ActionsHarness) -> None:
        send(replace(actions, journal_address=None), "a")
        send(new_warehouse(actions), "b")
        with pytest.raises(CannotMove, match=r"Both journals have entries: 1 in .+, 1 in "):
            move_journal(actions.warehouse, None, print)

    @pytest.mark.parametrize("function", ["Journal.add", "Journal.clear"])
    @pytest.mark.parametrize("event", ["call", "return"])
    @EXHAUSTIVE
    def test_that_is_killed_is_repeated(self, actions: ActionsHarness, function: str, event: str) -> None:
        send(replace(actions, journal_address=None), "a", "b")
        killed(lambda: move_journal(actions.warehouse, None, print), function, event)
        if (function, event) == ("Journal.clear", "return"):
            with pytest.raises(CannotMove, match="has no entries"):
                move_journal(actions.warehouse, None, print)
        else:
            with pytest.raises(TwoJournals):
                send(actions, "a")
            assert move_journal(actions.warehouse, None, print) == 2
        assert send(actions, "a", "b", "c") == ["done"]

    @EXHAUSTIVE
    def test_goes_from_a_file_to_the_warehouse_too(self, actions: ActionsHarness, tmp_path: Path) -> None:
        file = tmp_path / "file.sqlite"
        send(replace(actions, journal_address=f"sqlite:///{file}"), "a")
        inside = replace(actions, journal_address=None)
        before = replace(actions, journal_address=f"sqlite:///{file}").journal()
        assert move_journal(inside.warehouse, file, print) == 1
        assert inside.journal() == before
        assert send(inside, "a", "b") == ["done"]


class TestAFile:
    @pytest.fixture
    def actions(self, sandbox: SandboxServer, tmp_path: Path) -> ActionsHarness:
        return ActionsHarness(
            sandbox, tmp_path / "warehouse.duckdb", journal_address=f"sqlite:///{tmp_path / 'journal.sqlite'}"
        )

    def test_is_not_made_by_looking_and_is_the_users_alone(self, actions: ActionsHarness, tmp_path: Path) -> None:
        actions.plan(actions.order(CREDIT, [credit_of(actions.affiliate())], check_warehouse=False))
        (check,) = check_journal(actions.warehouse, True)
        assert (check.status, actions.journal()) == (Status.OK, [])
        file = tmp_path / "journal.sqlite"
        assert not file.exists()
        with actions.unlocked_journal():
            assert file.stat().st_mode & 0o777 == 0o600

    def test_of_another_program_is_refused(self, actions: ActionsHarness, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "journal.sqlite") as other:
            other.execute("CREATE TABLE theirs (a)")
        other.close()
        with pytest.raises(JournalUnusable, match="is a database of another program"):
            actions.journal()
        (tmp_path / "journal.sqlite").write_bytes(b"words" * 1000)
        with pytest.raises(JournalUnusable, match="The file is damaged or belongs to another program"):
            actions.journal()
        (check,) = check_journal(actions.warehouse, True)
        assert check.status is Status.FAILED

    def test_of_a_folder_that_is_not_there_is_refused(self, actions: ActionsHarness, tmp_path: Path) -> None:
        with pytest.raises(JournalUnusable, match=r"The folder .+ of the journal does not exist"):
            replace(actions, journal_address=f"sqlite:///{tmp_path}/absent/journal.sqlite").journal()

    def test_is_one_runs_at_a_time(self, actions: ActionsHarness) -> None:
        other = replace(actions, database=actions.database.with_name("other.duckdb"))
        waiting = other.warehouse.model_copy(update={"lock_timeout_seconds": 0})
        with actions.opened(), pytest.raises(WarehouseBusy, match=r"journal\.sqlite"):
            move_journal(waiting, None, print)

    def test_holds_text_that_sql_could_mistake(self, actions: ActionsHarness) -> None:
        nasty = '\'; DROP TABLE x; -- "q" \\ %s $name \n\t 🎉 \u2028'
        credit = credit_of(actions.affiliate(), notes=nasty, key="k'\\1")
        with actions.unlocked_journal() as journal:
            (call,) = actions.plan(actions.order(CREDIT, [credit], check_warehouse=False)).calls
            journal.intend(call, {}, actions.order(CREDIT, [credit], purpose=nasty).asking, None)
            (entry,) = journal.entries()
        assert (entry.key, entry.purpose, entry.request["notes"]) == ("k'\\1", nasty, nasty.strip())
        assert entry.intended_at.utcoffset() is not None
        assert entry.loaded is False


class TestAnAddress:
    @pytest.mark.parametrize("address", ["journal.sqlite", "sqlite://", "sqlite:///", "mysql://a:secret@host/b"])
    def test_that_is_not_valid_is_refused_without_being_repeated(self, address: str) -> None:
        with pytest.raises(InvalidSetting, match="REFERSION_JOURNAL is not a valid address") as refused:
            WarehouseSettings.of({"REFERSION_JOURNAL": address})
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(
        ("address", "error", "words"),
        [
            ("postgresql://loader:pass-word@127.0.0.1:1/books", WarehouseUnreachable, "127.0.0.1"),
            ("postgresql://loader:pass-word@host.example.com:5432", WarehouseNotSet, "credentials lack database"),
        ],
    )
    def test_with_a_password_is_told_without_it(
        self, sandbox: SandboxServer, tmp_path: Path, address: str, error: type[Exception], words: str
    ) -> None:
        actions = ActionsHarness(sandbox, tmp_path / "warehouse.duckdb", journal_address=address)
        with pytest.raises(error, match=words) as told:
            actions.journal()
        (check,) = check_journal(actions.warehouse, True)
        assert check.status is Status.FAILED
        assert "pass-word" not in f"{told.value}{check.message}{check.remedy}"

    @EXHAUSTIVE
    def test_of_the_warehouse_itself_is_the_journal_in_the_warehouse(self, request: pytest.FixtureRequest) -> None:
        postgres = request.getfixturevalue("postgres")
        account = request.getfixturevalue("sandbox")
        actions = ActionsHarness(account, Path("unused"), "postgres", postgres.url)
        with actions.opened() as (session, journal):
            assert isinstance(journal, Journal)
            journal.create()
            assert "action_journal" in session.tables("refersion_data")

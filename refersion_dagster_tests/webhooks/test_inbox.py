"""The inbox: what was added is there, once, whoever adds and drains, and whatever breaks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from refersion_dagster.webhooks.inbox import REMEMBERED, Inbox, ReceivedEvent
from refersion_dagster.webhooks.inbox_file import InboxError, NoInbox

NOW = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)
SPAWN = multiprocessing.get_context("spawn")


def event(number: int, topic: str = "NEW_CONVERSION", size: int = 0) -> ReceivedEvent:
    return ReceivedEvent(topic, b'{"id":%d,"pad":"%s"}' % (number, b"x" * size), NOW)


def numbers(inbox: Inbox) -> list[int]:
    return [int(kept.body[6:].split(b",")[0]) for kept in inbox.read()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder" / "in box#1.sqlite"


def test_an_event_is_kept_as_it_came_for_all_who_open_the_file(path: Path) -> None:
    body = b'{ "name": "Chlo\xc3\xa9", "broken": "\\ud83d" }\n'
    with Inbox(path, create=True) as inbox:
        assert inbox.add([ReceivedEvent("NEW_AFFILIATE", body, NOW)]) == [True]
        with Inbox(path) as other:
            (kept,) = other.read()
    assert (kept.topic, kept.body, kept.received_at) == ("NEW_AFFILIATE", body, NOW)
    assert kept.event_id == ReceivedEvent("NEW_AFFILIATE", body, NOW + timedelta(days=1)).event_id.hex()


def test_a_commit_is_on_the_disk_before_it_returns(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        settings = [
            inbox._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    assert settings == ["wal", 2]  # 2 is FULL: fsync at each commit


def test_nobody_else_on_the_machine_can_read_it(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox.add([event(1)])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_replay_is_kept_once_within_one_commit_and_after_it(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        assert inbox.add([event(1), event(2), event(1)]) == [True, True, False]
        assert inbox.add([event(2), event(3)]) == [False, True]
        assert numbers(inbox) == [1, 2, 3]
        assert inbox.state().counts == {"stored": 3, "repeated": 2}


def test_the_same_body_under_another_topic_is_another_event(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        assert inbox.add([event(1, "AFFILIATE_STATUS_CHANGE"), event(1, "AFFILIATE_DETAILS_CHANGE")]) == [True, True]


def test_a_replay_of_what_was_drained_is_known_and_its_body_is_gone(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox.add([ReceivedEvent("NEW_CONVERSION", b'{"email":"customer@example.net"}', NOW)])
        assert inbox.acknowledge(inbox.state().newest) == 1
        assert inbox.add([ReceivedEvent("NEW_CONVERSION", b'{"email":"customer@example.net"}', NOW)]) == [False]
        assert inbox.read() == []
        assert inbox._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert b"customer@example.net" not in path.read_bytes()


def test_what_was_drained_is_forgotten_half_a_year_later(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox.add([event(1), event(2)])
        inbox.acknowledge(2)
        long_ago = int((datetime.now(UTC) - REMEMBERED - timedelta(days=1)).timestamp() * 1_000_000)
        inbox._connection.execute("UPDATE events SET drained_at = ? WHERE seq = 1", (long_ago,))
        inbox.acknowledge(2)
        assert inbox.add([event(1), event(2)]) == [True, False]
        assert [kept.seq for kept in inbox.read()] > [2]


def test_events_are_read_in_their_order_in_parts_that_fit(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox.add([event(number, size=1_000) for number in range(10)])
        first = inbox.read(size=3_500)
        assert [kept.seq for kept in first] == [1, 2, 3]
        assert [kept.seq for kept in inbox.read(3, rows=2)] == [4, 5]
        assert [kept.seq for kept in inbox.read(5, up_to=7)] == [6, 7]
        assert [kept.seq for kept in inbox.read(7, size=10)] == [8], "one event is given whatever its size"
        assert inbox.read(10) == []


def test_only_what_was_acknowledged_is_gone(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox.add([event(number) for number in range(5)])
        assert inbox.acknowledge(3) == 3
        inbox.add([event(5)])
        assert inbox.acknowledge(3) == 0
        assert numbers(inbox) == [3, 4, 5]
        state = inbox.state()
    assert (state.waiting, state.newest, state.oldest_at) == (3, 6, NOW)


def test_many_events_are_acknowledged_in_several_commits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refersion_dagster.webhooks.inbox.ROWS_PER_COMMIT", 10)
    with Inbox(path, create=True) as inbox:
        inbox.add([event(number) for number in range(35)])
        assert inbox.acknowledge(33) == 33
        assert numbers(inbox) == [33, 34]


def test_refusals_of_all_processes_are_added_up(path: Path) -> None:
    with Inbox(path, create=True) as one, Inbox(path) as other:
        one.count({"wrong_signature": 2, "too_slow": 1})
        other.count({"wrong_signature": 3})
        assert one.state().counts == {"wrong_signature": 5, "too_slow": 1}


def add_hundred(path: Path, first: int) -> int:
    with Inbox(path, create=True) as inbox:
        return sum(sum(inbox.add([event(first + at), event(at)])) for at in range(100))


@pytest.mark.processes
def test_processes_that_make_and_fill_it_at_once_lose_nothing_and_repeat_nothing(path: Path) -> None:
    with SPAWN.Pool(4) as pool:
        new = pool.starmap(add_hundred, [(path, first) for first in (1_000, 2_000, 3_000, 4_000)])
    with Inbox(path) as inbox:
        found = numbers(inbox)
        assert inbox.state().counts == {"stored": 500, "repeated": 300}
    assert sum(new) == len(found) == len(set(found)) == 500


def drain_until_killed(path: Path, began: Connection) -> None:
    with Inbox(path) as inbox, inbox.draining():
        inbox.read()
        began.send("draining")
        signal.pause()


def test_one_process_drains_at_a_time_and_one_that_is_killed_gives_way_at_once(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox.add([event(1)])
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=drain_until_killed, args=(path, theirs))
        process.start()
        assert ours.recv() == "draining"
        with pytest.raises(InboxError, match="Another run is reading"), inbox.draining(seconds=0):
            pass
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        with inbox.draining(seconds=5):
            assert numbers(inbox) == [1]


def fill(inbox: Inbox) -> int:
    """Adds events until one does not fit; how many did."""
    for number in range(10_000):
        try:
            assert inbox.add([event(number, size=1_000)]) == [True]
        except InboxError:
            return number
    raise AssertionError("the inbox has no limit")


def test_a_full_inbox_takes_no_more_keeps_what_it_has_and_has_room_again_once_drained(path: Path) -> None:
    with Inbox(path, create=True, max_bytes=400_000) as inbox:
        taken = fill(inbox)
        assert taken > 200
        with pytest.raises(InboxError, match="reached its maximum size"):
            inbox.add([event(taken, size=1_000)])
        assert path.stat().st_size <= 400_000
        assert numbers(inbox) == list(range(taken))
        with Inbox(path) as drain:
            drain.acknowledge(drain.state().newest)
        assert inbox.add([event(taken, size=1_000)]) == [True]


def test_a_group_that_does_not_fit_is_not_added_at_all(path: Path) -> None:
    with Inbox(path, create=True, max_bytes=400_000) as inbox:
        inbox.add([event(1)])
        with pytest.raises(InboxError):
            inbox.add([event(number, size=10_000) for number in range(2, 100)])
        assert numbers(inbox) == [1]
        assert inbox.add([event(2)]) == [True]


def test_events_go_into_a_new_file_where_the_old_one_is_gone(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox.add([event(1)])
        for file in path.parent.iterdir():
            file.unlink()
        assert inbox.add([event(2)]) == [True]
        with Inbox(path) as other:
            assert numbers(other) == [2]


def test_there_has_to_be_one_unless_it_is_to_be_made(path: Path) -> None:
    with pytest.raises(NoInbox, match=r"webhook inbox .*in box#1.* does not exist"):
        Inbox(path)
    assert not path.parent.exists()


def test_a_file_that_is_none_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"affiliate,commission\n" * 500)
    with pytest.raises(InboxError, match="belongs to another program"):
        Inbox(path, create=True)
    assert path.read_bytes() == b"affiliate,commission\n" * 500


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE orders (id)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(InboxError, match="database of another program"):
        Inbox(path, create=True)
    assert path.read_bytes() == before


def test_an_inbox_of_a_later_version_is_left_alone(path: Path) -> None:
    with Inbox(path, create=True) as inbox:
        inbox._connection.execute("PRAGMA user_version = 2")
    with pytest.raises(InboxError, match="newer version"):
        Inbox(path)


def test_a_place_where_no_file_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InboxError, match=r"cannot be created: .*file"):
        Inbox(tmp_path / "file" / "inbox.sqlite", create=True)


def test_another_processes_long_commit_is_told_and_nothing_is_added(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refersion_dagster.webhooks.inbox_file.BUSY_SECONDS", 0.05)
    with Inbox(path, create=True) as inbox:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(InboxError, match="Another process has locked it"):
            inbox.add([event(1)])
        other.execute("ROLLBACK")
        other.close()
        assert inbox.read() == []
        assert inbox.add([event(1)]) == [True]

"""`refersion-dagster webhooks`: what it needs, what it says, how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from refersion_dagster_tests.webhooks.receiver import Receiver, receiving, start


def refused(inbox: Path, **options: object) -> tuple[int, str]:
    """Exit code and words of a receiver that does not start."""
    with start(inbox, **options) as process:  # pyright: ignore[reportArgumentType]
        said, _ = process.communicate(timeout=20)
    return process.returncode, said


@pytest.mark.processes
@pytest.mark.parametrize("secret", [None, " , "])
def test_without_a_secret_it_refuses_to_start_and_says_where_to_find_one(tmp_path: Path, secret: str | None) -> None:
    code, said = refused(tmp_path / "inbox.sqlite", secret=secret)
    assert code == 1
    assert "REFERSION_WEBHOOK_SECRET is not set" in said
    assert "Account > Settings > Webhooks" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox.sqlite") as running:
        code, said = refused(tmp_path / "other.sqlite", port=running.port)
    assert code == 1
    assert f"Port {running.port} on 127.0.0.1 is in use" in said


@pytest.mark.processes
def test_a_file_that_is_no_inbox_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,status\n" * 1_000)
    code, said = refused(tmp_path / "rows.csv")
    assert code == 1
    assert "rows.csv cannot be opened" in said
    assert "Traceback" not in said
    assert (tmp_path / "rows.csv").read_text() == "id,status\n" * 1_000


def test_it_ends_at_once_when_it_is_told_to_and_keeps_what_it_answered(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox.sqlite") as running, running.connect():
        assert running.post(b'{"id":1}').status_code == 200
        running.stop()
        assert len(running.waiting()) == 1


@pytest.mark.processes
def test_one_that_was_killed_is_started_again_on_its_port_with_what_it_had(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox.sqlite") as first:
        for number in range(5):
            assert first.post(b'{"id":%d}' % number).status_code == 200
        first.kill()
        with receiving(tmp_path / "inbox.sqlite", port=first.port) as second:
            assert [second.post(b'{"id":%d}' % number).json()["status"] for number in (4, 5)] == ["repeated", "stored"]
            assert len(second.waiting()) == 6


def test_health_says_what_waits_and_for_how_long(receiver: Receiver) -> None:
    before = receiver.health()
    receiver.post(b'{"for":"health"}')
    after = receiver.health()
    assert (after["status"], after["waiting"], after["stored"]) == ("ok", before["waiting"] + 1, before["stored"] + 1)
    assert 0 <= after["oldest_waits_seconds"] < 60

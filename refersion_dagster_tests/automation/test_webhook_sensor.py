"""The webhook sensor: a run when events wait, one at a time, and a reason whenever there is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.automation.webhook_sensor import JOB, refersion_webhook_inbox
from refersion_dagster.definitions import defs
from refersion_dagster.ingest.webhooks.events import WebhookInbox
from refersion_dagster.webhooks.inbox import Inbox, ReceivedEvent
from refersion_dagster_tests.location import fresh_instance

NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with fresh_instance() as instance:
        yield instance


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with Inbox(tmp_path / "inbox.sqlite", create=True) as inbox:
        yield inbox


def tick(instance: dg.DagsterInstance, path: Path) -> tuple[list[dg.RunRequest], str]:
    """What it asks to start, and its reason to start nothing."""
    with dg.build_sensor_context(instance, resources={"webhook_inbox": WebhookInbox(path=str(path))}) as context:
        data = refersion_webhook_inbox.evaluate_tick(context)
    return list(data.run_requests or []), data.skip_message or ""


def run(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus) -> str:
    return instance.create_run_for_job(defs.resolve_job_def(job), status=status).run_id


def receive(inbox: Inbox, *numbers: int) -> None:
    inbox.add([ReceivedEvent("NEW_CONVERSION", b'{"id":%d}' % number, NOW) for number in numbers])


def test_events_that_wait_start_one_run_of_the_job_whatever_their_number(
    instance: dg.DagsterInstance, inbox: Inbox
) -> None:
    receive(inbox, 1, 2, 3)
    (request,), _ = tick(instance, inbox.path)
    assert request.tags["refersion/why"] == "3 events waiting"
    assert request.run_key is None, "a run that failed can be started again"
    job = defs.resolve_job_def(JOB)
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == {"refersion/webhook_events"}


def test_without_an_inbox_it_says_what_makes_one_and_makes_none(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    started, reason = tick(instance, tmp_path / "none.sqlite")
    assert not started
    assert f"The webhook inbox {tmp_path / 'none.sqlite'} does not exist" in reason
    assert "`refersion-dagster webhooks`" in reason
    assert list(tmp_path.iterdir()) == []


def test_an_inbox_that_cannot_be_read_is_a_reason_and_no_failed_tick(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    (tmp_path / "inbox.sqlite").write_bytes(b"noise" * 1_000)
    started, reason = tick(instance, tmp_path / "inbox.sqlite")
    assert not started
    assert "cannot be opened" in reason


def test_when_no_event_waits_nothing_starts(instance: dg.DagsterInstance, inbox: Inbox) -> None:
    assert tick(instance, inbox.path) == ([], "No events are waiting.")
    receive(inbox, 1)
    inbox.acknowledge(1)
    assert tick(instance, inbox.path) == ([], "No events are waiting.")


@pytest.mark.parametrize("job", [JOB, "refersion_backfill"])
@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_while_a_run_goes_on_none_is_added(
    instance: dg.DagsterInstance, inbox: Inbox, job: str, status: dg.DagsterRunStatus
) -> None:
    receive(inbox, 1)
    run_id = run(instance, job, status)
    started, reason = tick(instance, inbox.path)
    assert not started
    assert reason.startswith("1 event waiting, but ")
    assert run_id in reason


def test_after_failed_runs_it_waits_longer_and_longer_and_a_good_run_ends_that(
    instance: dg.DagsterInstance, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(inbox, 1)
    waits = []
    for _ in range(7):
        run(instance, JOB, dg.DagsterRunStatus.FAILURE)
        started, reason = tick(instance, inbox.path)
        assert not started
        until = datetime.strptime(reason.split()[-2], "%H:%M:%S").replace(tzinfo=UTC)
        now = datetime.now(UTC)
        waits.append((until - now.replace(year=1900, month=1, day=1)) % timedelta(days=1))
    minutes = [round(wait.total_seconds() / 60) for wait in waits]
    assert minutes == [1, 2, 4, 8, 16, 30, 30]

    monkeypatch.setattr("refersion_dagster.automation.webhook_sensor.LONGEST_WAIT", timedelta(0))
    assert tick(instance, inbox.path)[0], "the wait is over"
    monkeypatch.undo()
    run(instance, JOB, dg.DagsterRunStatus.SUCCESS)
    assert tick(instance, inbox.path)[0]


def test_it_runs_unless_it_is_switched_off() -> None:
    sensor = defs.get_repository_def().get_sensor_def("refersion_webhook_inbox")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert [target.job_name for target in sensor.targets] == [JOB]

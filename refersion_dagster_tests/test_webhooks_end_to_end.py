"""A conversion approved in Refersion is approved in the warehouse: sandbox, receiver, sensor, run."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.automation.webhook_sensor import JOB, refersion_webhook_inbox
from refersion_dagster.ingest.webhooks.events import WebhookInbox
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import Location, account_of, materialise
from refersion_dagster_tests.webhooks.receiver import SECRET, receiving


@pytest.mark.processes
def test_an_event_ends_as_a_changed_row(sandbox: SandboxServer, tmp_path: Path) -> None:
    location = Location.of(tmp_path, sandbox).with_settings(REFERSION_WEBHOOK_INBOX=str(tmp_path / "inbox.sqlite"))
    loaded = materialise(
        account_of(sandbox),
        Warehouse(duckdb_path=str(location.database)),
        *("refersion/conversions", "refersion/conversion_history"),
    )
    assert loaded.success, loaded.failure
    with receiving(tmp_path / "inbox.sqlite") as receiver:
        sandbox.configure(webhook_duplicates=2, webhook_order="shuffled")
        sandbox.send_webhooks(receiver.url, SECRET)
        sandbox.advance(days=20)
        assert sandbox.webhooks.wait_until_sent()
        assert sandbox.webhooks.state()["failed"] == 0
        sent = receiver.health()["stored"]
    assert sent > 20

    with location.records() as instance:
        resources = {"webhook_inbox": WebhookInbox(path=str(receiver.inbox))}
        with dg.build_sensor_context(instance, resources=resources) as context:
            assert refersion_webhook_inbox.evaluate_tick(context).run_requests
        ended = location.run("dagster", "job", "execute", "-m", "refersion_dagster.definitions", "-j", JOB)
        assert ended.code == 0, ended.output
        with dg.build_sensor_context(instance, resources=resources) as context:
            assert refersion_webhook_inbox.evaluate_tick(context).skip_message == "No events are waiting."

    rows = location.query("SELECT id, status, payment_status FROM refersion_data.conversions")
    there = {int(id_): state for id_, *state in rows}
    assert there == {number: [row.status, row.payment_status] for number, row in sandbox.account.conversions.items()}
    assert location.query("SELECT count(*), count(DISTINCT event_id) FROM refersion_data.webhook_events") == [
        (sent, sent)
    ]
    assert location.query("SELECT count(*) > 5 FROM refersion_data.conversion_history WHERE change = 'changed'") == [
        (True,)
    ]

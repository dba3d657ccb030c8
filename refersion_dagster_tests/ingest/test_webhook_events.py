"""The asset refersion/webhook_events: each event is stored once, and conversions reflect the newest event."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.clock import sql_time
from refersion_dagster.sandbox.webhooks.payloads import body
from refersion_dagster_tests.ingest.webhook_inbox import ASSET, RECEIVED_AT, WebhookWarehouse
from refersion_dagster_tests.location import NOW, SMALL, Outcome, account_of, materialise
from refersion_dagster_tests.postgres import PostgresDatabase

LOADED = tuple(
    f"refersion/{table}"
    for table in ("conversions", "conversion_history", "payments", "affiliate_list", "affiliate_get")
)
# Columns that no event has.
UNTOLD = ("type", "shop__name")
LATER = sql_time(int(NOW.timestamp()) + 3_600)
LATEST = sql_time(int(NOW.timestamp()) + 7_200)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse after the first load, with its own salt."""
    file = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    with SandboxServer(SMALL) as sandbox:
        done = materialise(account_of(sandbox, pii_salt=None), Warehouse(duckdb_path=str(file)), *LOADED)
        assert done.success, done.failure
    return file


@pytest.fixture
def drained(sandbox: SandboxServer, tmp_path: Path, loaded: Path) -> WebhookWarehouse:
    return WebhookWarehouse.of(sandbox, tmp_path, loaded)


class Scenario:
    """One drain of one event for each case, with the state before and after it."""

    def __init__(self, drained: WebhookWarehouse) -> None:
        self.drained = drained
        rows = [row for row in drained.sandbox.account.conversions.values() if row.customer and row.status == "PENDING"]
        (self.newer, self.older, self.same, self.twice, self.backwards, self.silent, self.gone, self.broken) = [
            row.id for row in rows[:8]
        ]
        self.unknown = 99_000_001
        with drained.warehouse.session() as session:
            session.query(f"UPDATE refersion_data.conversions SET updated = NULL WHERE id = '{self.silent}'")
            session.query(f"UPDATE refersion_data.conversions SET vanished_at = read_at WHERE id = '{self.gone}'")
        self.untold = drained.state(self.newer, *UNTOLD)
        self.before = drained.state(self.older, "*"), drained.state(self.same, "*")
        approved = {"status": "APPROVED", "updated": LATER}
        same = sql_time(drained.sandbox.account.conversions[self.same].updated)
        self.events = [
            drained.conversion(self.newer, **approved, commission_total="1,234.50", notes="by hand"),
            drained.conversion(self.older, status="DENIED", updated="2020-01-01 00:00:00"),
            drained.conversion(self.same, status="DENIED", updated=same),
            drained.conversion(self.twice, **approved),
            drained.conversion(self.twice, status="DENIED", updated=LATEST),
            drained.conversion(self.backwards, status="DENIED", updated=LATEST),
            drained.conversion(self.backwards, **approved),
            drained.conversion(self.silent, **approved),
            drained.conversion(self.gone, **approved),
            drained.conversion(self.broken, **approved, total="12,x"),
            drained.conversion(self.newer, **approved, id=self.unknown, created=LATER, order_id="R-1/EU"),
            {
                "reward": {
                    "id": 51,
                    "offer_id": 12,
                    "milestone_reached": "50 orders",
                    "amount_given": "25.50",
                    "notes": "",
                }
            },
            {"tier": "gold", "customer": {"name": "Ada Abbott"}},
        ]
        drained.receive(*self.events[:-2])
        drained.receive(self.events[-2], topic="BONUS_TIER_MOVEMENT")
        drained.receive(self.events[-1], topic="SOMETHING_NEW")
        self.outcome: Outcome = drained.drain()
        assert self.outcome.success, self.outcome.failure


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory, loaded: Path) -> Iterator[Scenario]:
    with SandboxServer(SMALL) as sandbox:
        yield Scenario(WebhookWarehouse.of(sandbox, tmp_path_factory.mktemp("scenario"), loaded))


def test_each_event_is_a_row_with_its_topic_its_time_and_what_it_is_about(scenario: Scenario) -> None:
    rows = scenario.drained.query(
        "SELECT topic, received_at, subject, subject_id, count(DISTINCT event_id) FROM refersion_data.webhook_events "
        "GROUP BY ALL"
    )
    assert sum(row[-1] for row in rows) == len(scenario.events)
    assert ("SOMETHING_NEW", RECEIVED_AT, "other", None, 1) in rows
    assert ("BONUS_TIER_MOVEMENT", RECEIVED_AT, "reward", "51", 1) in rows
    assert ("APPROVED_CONVERSION", RECEIVED_AT, "conversion", str(scenario.twice), 2) in rows
    assert scenario.drained.waiting() == 0


def test_a_newer_event_changes_the_row_and_the_history(scenario: Scenario) -> None:
    row = scenario.drained.state(
        scenario.newer, "status", "commission_total", "notes", "strftime(updated, '%Y-%m-%d %H:%M:%S')"
    )
    assert row == ("APPROVED", Decimal("1234.5"), "by hand", LATER)
    assert scenario.drained.history(scenario.newer) == [("new", "PENDING"), ("changed", "APPROVED")]


def test_what_an_event_does_not_tell_stays_as_it_was(scenario: Scenario) -> None:
    assert scenario.drained.state(scenario.newer, *UNTOLD) == scenario.untold
    assert None not in scenario.untold


def test_an_event_that_is_older_or_as_old_changes_nothing(scenario: Scenario) -> None:
    now = scenario.drained.state(scenario.older, "*"), scenario.drained.state(scenario.same, "*")
    assert now == scenario.before
    assert scenario.drained.history(scenario.older) == [("new", "PENDING")]


def test_the_history_has_each_state_whatever_the_order_of_the_events(scenario: Scenario) -> None:
    states = [("new", "PENDING"), ("changed", "APPROVED"), ("changed", "DENIED")]
    for number in (scenario.twice, scenario.backwards):
        assert scenario.drained.history(number) == states
        assert scenario.drained.state(number, "status") == ("DENIED",)


def test_a_row_that_does_not_say_when_it_changed_is_as_old_as_its_reading(scenario: Scenario) -> None:
    assert scenario.drained.state(scenario.silent, "status") == ("APPROVED",)


def test_a_row_that_was_gone_is_back(scenario: Scenario) -> None:
    assert scenario.drained.state(scenario.gone, "status", "vanished_at") == ("APPROVED", None)


def test_a_conversion_that_was_never_read_is_added(scenario: Scenario) -> None:
    row = scenario.drained.state(
        scenario.unknown, "status", "order_id", "affiliate_id", "strftime(created, '%Y-%m-%d %H:%M:%S')"
    )
    affiliate = scenario.drained.sandbox.account.conversions[scenario.newer].affiliate_id
    assert row == ("APPROVED", "R-1/EU", str(affiliate), LATER)
    assert scenario.drained.history(scenario.unknown) == [("new", "APPROVED")]


def test_an_event_that_cannot_be_read_is_kept_and_told_and_in_nobodys_way(scenario: Scenario) -> None:
    told = scenario.outcome.metadata[ASSET]
    assert scenario.drained.state(scenario.broken, "status") == ("PENDING",)
    (reason,) = told["not_applied"]
    assert f"conversions.total of row {scenario.broken} is '12,x'" in reason
    assert any(reason.partition(": ")[2] in line for line in scenario.outcome.log)
    (payload,) = scenario.drained.query(
        f"SELECT payload FROM refersion_data.webhook_events WHERE subject_id = '{scenario.broken}'"
    )[0]
    assert json.loads(payload)["total"] == "12,x"


def test_the_metadata_tells_what_came_and_what_was_applied(scenario: Scenario) -> None:
    told = scenario.outcome.metadata[ASSET]
    # dagster-dlt's metadata of the load, as for other raw tables.
    assert told["destination_type"] == "dlt.destinations.duckdb"
    assert {job["table_name"] for job in told["jobs"]} == {"webhook_events"}
    assert told["rows_loaded"] == told["events"]
    assert (told["events"], told["dagster/row_count"]) == (len(scenario.events), len(scenario.events))
    conversions = len(scenario.events) - 2
    assert told["topics"] == {"APPROVED_CONVERSION": conversions, "BONUS_TIER_MOVEMENT": 1, "SOMETHING_NEW": 1}
    assert (told["conversions_applied"], told["conversions_not_applied"]) == (8, 1)
    applied = scenario.outcome.metadata["refersion/conversions"]
    assert applied["conversions_applied"] == 8, "what stands on conversions learns that they changed"
    assert "refersion/conversion_history" in scenario.outcome.metadata


def test_customers_have_the_same_hash_in_events_and_in_conversions_and_appear_nowhere(scenario: Scenario) -> None:
    customer = scenario.drained.sandbox.account.conversions[scenario.older].customer
    assert customer
    rows = scenario.drained.query(
        "SELECT c.customer__email = json_extract_string(e.payload, '$.customer.email'), "
        "c.customer__name = json_extract_string(e.payload, '$.customer.name'), "
        "c.customer__browser_ip = json_extract_string(e.payload, '$.customer.browser_ip') "
        "FROM refersion_data.webhook_events AS e JOIN refersion_data.conversions AS c ON c.id = e.subject_id "
        f"WHERE e.subject_id IN ('{scenario.older}', '{scenario.newer}')"
    )
    assert rows == [(True, True, True)] * 2
    raw = scenario.drained.database.read_bytes()
    for event in (one for one in scenario.events if "reward" not in one):
        for value in event["customer"].values():
            assert value.encode() not in raw


@pytest.mark.exhaustive
def test_events_are_loaded_in_parts_and_a_replay_later_is_no_second_row(
    drained: WebhookWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refersion_dagster.ingest.webhooks.events.EVENTS_PER_LOAD", 2)
    pending = [row for row in drained.sandbox.account.conversions.values() if row.status == "PENDING"][:3]
    events = [drained.conversion(row.id, status="APPROVED", updated=LATER) for row in pending]
    drained.receive(*events)
    done = drained.drain()
    assert done.metadata[ASSET]["conversions_applied"] == 3
    for file in drained.folder.glob("inbox.sqlite*"):
        file.unlink()  # all knowledge of earlier events is lost
    drained.receive(*events)
    again = drained.drain()
    assert again.success, again.failure
    assert (again.metadata[ASSET]["events"], again.metadata[ASSET]["conversions_applied"]) == (3, 0)
    assert drained.query("SELECT count(*), count(DISTINCT event_id) FROM refersion_data.webhook_events") == [(3, 3)]
    assert drained.query("SELECT count(*) FROM refersion_data.conversion_history WHERE change = 'changed'") == [(3,)]


PIPELINE_STATE = "SELECT state FROM refersion_data._dlt_pipeline_state ORDER BY version DESC LIMIT 1"

KILLED = """
import os, signal, sys
from pathlib import Path
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.webhooks.inbox import Inbox
from refersion_dagster_tests.ingest.webhook_inbox import WebhookWarehouse
from refersion_dagster_tests.location import SMALL

Inbox.acknowledge = lambda inbox, up_to: os.kill(os.getpid(), signal.SIGKILL)
with SandboxServer(SMALL) as sandbox:
    WebhookWarehouse(sandbox, Path(sys.argv[1])).drain()
"""


@pytest.mark.exhaustive
def test_a_run_killed_between_load_and_acknowledgement_is_made_up_for_without_a_second_row(
    drained: WebhookWarehouse,
) -> None:
    (row,) = [row for row in drained.sandbox.account.conversions.values() if row.status == "PENDING"][:1]
    drained.receive(drained.conversion(row.id, status="APPROVED", updated=LATER), {"id": 1, "of": "nobody"})
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(drained.folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9, killed.stderr
    assert drained.waiting() == 2
    assert drained.query("SELECT count(*) FROM refersion_data.webhook_events") == [(2,)]

    again = drained.drain()

    assert again.success, again.failure
    assert drained.waiting() == 0
    assert drained.query("SELECT count(*) FROM refersion_data.webhook_events") == [(2,)]
    assert drained.history(row.id) == [("new", "PENDING"), ("changed", "APPROVED")]


@pytest.mark.exhaustive
def test_what_events_concern_is_read_again_so_that_payments_reach_their_conversions(drained: WebhookWarehouse) -> None:
    sandbox = drained.sandbox
    told: list[tuple[str, Any]] = []
    sandbox.account.announce = lambda topic, row: told.append((topic, row))
    sandbox.advance(days=16)
    payment = next(rows[0] for topic, rows in told if topic == "NEW_PAYMENT")
    paid = {str(row.id) for row in sandbox.account.conversions.values() if row.payment_id == payment.id}
    assert paid
    affiliate = sandbox.account.affiliates[payment.affiliate_id]
    sandbox.change_affiliate(affiliate.id, company="Öko & Söhne")  # the list does not show this change
    drained.receive(body(sandbox.account, [payment]), body(sandbox.account, affiliate), topic="ANYTHING")
    before = drained.query(PIPELINE_STATE)

    done = drained.drain(read_again=True)

    assert done.success, done.failure
    marked = drained.query("SELECT id FROM refersion_data.conversions WHERE payment_status = 'PAID'")
    assert paid <= {id_ for (id_,) in marked}
    assert (str(payment.id),) in drained.query("SELECT id FROM refersion_data.payments")
    assert drained.query(f"SELECT company_name FROM refersion_data.affiliate_get WHERE id = '{affiliate.id}'") == [
        ("Öko & Söhne",)
    ]
    assert {*LOADED, ASSET} == set(done.metadata)
    assert done.metadata[ASSET]["read_again"]
    assert drained.query(PIPELINE_STATE) == before, "the high-water mark stays where it is"


@pytest.mark.exhaustive
def test_events_wait_while_refersion_does_not_answer_and_are_kept_and_applied_meanwhile(
    drained: WebhookWarehouse,
) -> None:
    (row,) = [row for row in drained.sandbox.account.conversions.values() if row.status == "PENDING"][:1]
    drained.receive(drained.conversion(row.id, status="APPROVED", updated=LATER))
    drained.sandbox.fault("graphql", "status", status=503, times=None)
    failed = drained.drain(read_again=True)
    assert not failed.success
    assert "503" in failed.failure
    assert drained.waiting() == 1
    assert drained.state(row.id, "status") == ("APPROVED",)

    drained.sandbox.clear_faults()
    drained.sandbox.change_conversion(row.id, status="APPROVED")
    again = drained.drain(read_again=True)

    assert again.success, again.failure
    assert drained.waiting() == 0
    assert drained.query("SELECT count(*) FROM refersion_data.webhook_events") == [(1,)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("token", [None, "gql_wrong_and_long_enough"])
def test_events_do_not_wait_for_keys_that_are_absent_or_wrong(drained: WebhookWarehouse, token: str | None) -> None:
    (row,) = [row for row in drained.sandbox.account.conversions.values() if row.status == "PENDING"][:1]
    drained.receive(drained.conversion(row.id, status="APPROVED", updated=LATER))
    done = drained.drain(read_again=True, graphql_token=token)
    assert done.success == (token is None), "a wrong key is told, an absent one is a choice"
    assert drained.waiting() == 0
    assert drained.state(row.id, "status") == ("APPROVED",)


@pytest.mark.parametrize("read_again", [True, False])
def test_events_wait_where_the_warehouse_holds_another_accounts_rows(
    tmp_path: Path, loaded: Path, read_again: bool
) -> None:
    with SandboxServer(replace(SMALL, seed=8)) as other:
        drained = WebhookWarehouse.of(other, tmp_path, loaded)
        drained.receive(*(drained.conversion(number) for number in list(other.account.conversions)[:3]))
        content = drained.database.read_bytes()
        done = drained.drain(read_again=read_again)
        assert "The warehouse contains rows of another Refersion account" in done.failure
        assert drained.database.read_bytes() == content
        assert drained.waiting() == 3


def test_events_wait_where_customers_are_hashed_with_another_salt(drained: WebhookWarehouse) -> None:
    drained.receive(drained.conversion(next(iter(drained.sandbox.account.conversions)), updated=LATER))
    done = drained.drain(pii_salt="given")
    assert "REFERSION_PII_SALT is not the salt with which personal data in this warehouse are hashed" in done.failure
    assert drained.waiting() == 1
    done = drained.drain()
    assert done.success, done.failure
    assert drained.waiting() == 0


def test_without_an_inbox_nothing_happens_and_none_is_made(drained: WebhookWarehouse) -> None:
    done = drained.drain(read_again=True)
    assert done.success
    assert done.metadata == {}
    assert any("The webhook inbox" in line and "does not exist" in line for line in done.log)
    assert not drained.inbox.exists()


def test_before_the_first_load_events_are_kept_and_not_applied(sandbox: SandboxServer, tmp_path: Path) -> None:
    drained = WebhookWarehouse.of(sandbox, tmp_path, loaded=None)
    drained.receive(drained.conversion(next(iter(sandbox.account.conversions))))
    done = drained.drain(read_again=True)
    assert done.success, done.failure
    assert any("Run refersion_refresh" in line for line in done.log)
    assert drained.waiting() == 0
    tables = drained.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'refersion_data'")
    assert ("webhook_events",) in tables
    assert ("conversions",) not in tables


@pytest.mark.exhaustive
def test_postgresql_gets_the_same_rows(sandbox: SandboxServer, tmp_path: Path, postgres: PostgresDatabase) -> None:
    drained = WebhookWarehouse(sandbox, tmp_path, destination="postgres")
    done = materialise(account_of(sandbox, pii_salt=None), drained.warehouse, *LOADED[:2])
    assert done.success, done.failure
    newer, older = [row.id for row in sandbox.account.conversions.values() if row.status == "PENDING"][:2]
    drained.receive(
        drained.conversion(newer, status="APPROVED", updated=LATER),
        drained.conversion(newer, status="DENIED", updated=LATEST),
        drained.conversion(newer, status="APPROVED", updated=LATER, id=99_000_001, notes="Chlo\u00e9 \\ 100 % $id"),
        drained.conversion(older, status="DENIED", updated="2020-01-01 00:00:00"),
        {"data": {"affiliates": {"7": {"id": 7, "payments": [{"id": 1, "created": LATER, "currency": "USD"}]}}}},
    )
    ended = drained.drain()
    assert ended.success, ended.failure
    assert ended.metadata[ASSET]["conversions_applied"] == 3
    rows = postgres.query(f"SELECT id, status FROM refersion_data.conversions WHERE id IN ('{newer}', '{older}')")
    assert dict(rows) == {str(newer): "DENIED", str(older): "PENDING"}
    assert postgres.query("SELECT notes FROM refersion_data.conversions WHERE id = '99000001'") == [
        ("Chlo\u00e9 \\ 100 % $id",)
    ]
    history = postgres.query(
        f"SELECT change, status FROM refersion_data.conversion_history WHERE id = '{newer}' ORDER BY seen_at"
    )
    assert history == [("new", "PENDING"), ("changed", "APPROVED"), ("changed", "DENIED")]
    assert postgres.query("SELECT count(*) FROM refersion_data.webhook_events") == [(5,)]

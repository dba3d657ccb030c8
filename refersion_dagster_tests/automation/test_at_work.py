"""Schedules, sensors and automation at work: a real `dagster dev` beside a sandbox whose clock moves on."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.automation.active_runs import IN_PROGRESS
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import SMALL, Location
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.web_page import ask, free_port
from refersion_dagster_tests.webhooks.receiver import SECRET, Receiver, receiving

pytestmark = pytest.mark.waits

# Dagster looks at schedules and sensors every 30 s, at a sensor of a shorter interval every 5 s.
SECONDS = 180
START_SENSOR = """mutation($name: String!) {
  startSensor(sensorSelector: {
    repositoryLocationName: "refersion_dagster.definitions", repositoryName: "__repository__", sensorName: $name
  }) { __typename }
}"""
# A row from before there was an account, which no reading sees: what is there twice of the account is mended by the
# next refresh, as its counts differ.
OLDEST = """
SELECT * REPLACE ('made' AS id, CAST('2009-06-01 00:00:00+00' AS TIMESTAMPTZ) AS created)
FROM refersion_data.conversions ORDER BY created LIMIT 1
"""
SUMMARY = "summaries/commission_by_affiliate"
REPORT = "report/commissions"


@dataclass
class AtWork:
    """Everything that runs: the sandbox, the receiver of webhooks, where alerts go, and Dagster."""

    sandbox: SandboxServer
    location: Location
    receiver: Receiver
    alerts: list[dict[str, Any]]
    records: dg.DagsterInstance
    port: int

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(duckdb_path=str(self.location.database))

    def runs(self, tag: str, value: str) -> list[dg.DagsterRun]:
        """Runs with this tag, the latest first."""
        return list(self.records.get_runs(dg.RunsFilter(tags={tag: value})))

    def ended(self, tag: str, value: str, more_than: int = 0) -> bool:
        """Whether there are more such runs, and the latest one succeeded."""
        runs = self.runs(tag, value)
        return len(runs) > more_than and runs[0].status == dg.DagsterRunStatus.SUCCESS

    def quiet(self) -> bool:
        """Whether no run goes on."""
        return not self.records.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))

    def built(self, asset: str) -> float:
        """When an asset was last built, Unix seconds."""
        event = self.records.get_latest_materialization_event(dg.AssetKey(asset.split("/")))
        return event.timestamp if event else 0

    def ticked(self, sensor: str, after: float) -> bool:
        """Whether a sensor looked after that moment."""
        for state in self.records.all_instigator_state():
            if state.instigator_name == sensor:
                ticks = self.records.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
                return bool(ticks) and ticks[0].timestamp > after
        return False


def eventually(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    return soon(condition, seconds, every=0.3)


@pytest.fixture(scope="module")
def alerts() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP endpoint that alerts are sent to, and what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, alerts: tuple[str, list[dict[str, Any]]]) -> Iterator[AtWork]:
    folder = tmp_path_factory.mktemp("work")
    inbox, port = folder / "inbox.sqlite", free_port()
    # Once, at the first full minute after Dagster is up, which takes it some 15 s, or up to a minute where others run.
    soonest = datetime.now(UTC) + timedelta(seconds=90 + 60)
    with SandboxServer(SMALL) as sandbox, receiving(inbox) as receiver:
        location = Location.of(folder, sandbox).with_settings(
            REFERSION_NIGHTLY_CRON=f"{soonest.minute} {soonest.hour} * * *",
            REFERSION_ACTIVITY_SECONDS="5",
            REFERSION_WEBHOOK_INBOX=str(inbox),
            REFERSION_PUBLISH_PATH=str(folder / "published"),
            REFERSION_ALERT_URLS=alerts[0],
        )
        # First, as two processes at once that make Dagster's databases get into each other's way.
        with location.records() as records, (folder / "dagster.log").open("w") as log:
            assert not records.get_runs_count() + len(records.all_instigator_state())
            command = ("dagster", "dev", "-m", "refersion_dagster.definitions", "--port", str(port))
            process = location.start(*command, output=log)
            try:
                yield AtWork(sandbox, location, receiver, alerts[1], records, port)
            finally:
                process.terminate()
                process.wait(timeout=60)


def test_the_nightly_schedule_ticks_and_everything_is_built(work: AtWork) -> None:
    assert eventually(lambda: work.ended("dagster/schedule_name", "refersion_nightly"), 2 * SECONDS)
    assert work.location.counts()["conversions"] == work.sandbox.sums()["number_of_conversions"]
    assert (Path(work.location.environment["REFERSION_PUBLISH_PATH"]) / "current" / "manifest.json").exists()


def test_summaries_follow_a_table_that_was_materialised_alone(work: AtWork) -> None:
    built = work.built(SUMMARY)
    assert work.location.materialise("refersion/conversions").code == 0
    assert eventually(lambda: work.built(SUMMARY) > built)
    published = work.built("published/summaries")
    assert eventually(lambda: work.built("published/summaries") > built), published
    assert eventually(lambda: work.built(REPORT) > built)
    assert eventually(work.quiet)


def test_a_failing_check_stops_them_and_sends_one_alert(work: AtWork) -> None:
    assert eventually(work.quiet)
    built, reported = work.built(SUMMARY), work.built(REPORT)
    with work.warehouse.write_lock(print), work.warehouse.session() as session:
        for _ in range(2):
            session.query(f"INSERT INTO refersion_data.conversions {OLDEST}")
    try:
        assert work.location.materialise("refersion/conversions").code != 0
        looked = work.built("refersion/conversions")
        assert looked > built
        assert eventually(lambda: len(work.alerts) == 1), work.alerts
        assert "check primary_key of refersion/conversions failed" in work.alerts[0]["title"]
        assert "/runs/" in work.alerts[0]["message"]
        assert eventually(lambda: work.ticked("refersion_automation", looked + 1))
        assert (work.built(SUMMARY), work.built(REPORT)) == (built, reported)
    finally:
        assert eventually(work.quiet)
        with work.warehouse.write_lock(print), work.warehouse.session() as session:
            for table in ("conversions", "conversion_history"):
                session.query(f"DELETE FROM refersion_data.{table} WHERE id = 'made'")


def test_a_webhook_that_was_posted_ends_as_a_changed_row(work: AtWork) -> None:
    ((pending,),) = work.warehouse.query(
        "SELECT max(id) FROM refersion_data.conversions WHERE status = 'PENDING' AND NOT is_test_conversion"
    )
    work.sandbox.send_webhooks(work.receiver.url, SECRET)
    work.sandbox.change_conversion(int(pending), status="APPROVED")
    assert eventually(lambda: work.ended("dagster/sensor_name", "refersion_webhook_inbox"))
    assert eventually(work.quiet)
    assert work.location.query(f"SELECT status FROM refersion_data.conversions WHERE id = '{pending}'") == [
        ("APPROVED",)
    ]


def test_the_activity_sensor_sees_a_clock_that_moved_on(work: AtWork) -> None:
    answer = ask(work.port, START_SENSOR, name="refersion_activity")
    assert answer["startSensor"]["__typename"] == "Sensor", answer
    assert eventually(lambda: work.ended("dagster/sensor_name", "refersion_activity"))
    before = len(work.runs("dagster/sensor_name", "refersion_activity"))
    work.sandbox.advance(days=1)
    assert eventually(lambda: work.ended("dagster/sensor_name", "refersion_activity", more_than=before))
    assert work.location.counts()["conversions"] == work.sandbox.sums()["number_of_conversions"]

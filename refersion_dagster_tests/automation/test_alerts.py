"""Alerts: each problem told once, over real HTTP, to every channel that works, without secrets."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.automation import incidents
from refersion_dagster.automation.alerts import AlertsCursor, alerts_sensor
from refersion_dagster.automation.channels import channels
from refersion_dagster.ingest.specs import asset_key
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import Settings
from refersion_dagster_tests.location import fresh_instance


class Post:
    """A channel: an HTTP endpoint that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        post = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                post.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(post.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/hook-token-1234"

    def titles(self) -> list[str]:
        return [one["title"] for one in self.got]


@pytest.fixture
def post() -> Iterator[Post]:
    post = Post()
    thread = threading.Thread(target=post.server.serve_forever)
    thread.start()
    yield post
    post.server.shutdown()
    post.server.server_close()
    thread.join()


class Watched:
    """A code location whose one table can fail, and the sensor over its records, tick by tick."""

    def __init__(self, instance: dg.DagsterInstance, **variables: str) -> None:
        self.instance = instance
        self.variables = variables
        self.cursor: str | None = AlertsCursor((datetime.now(UTC) - timedelta(minutes=1)).isoformat()).write()
        self.error: str | None = None
        self.offending = 0
        self.severity = dg.AssetCheckSeverity.ERROR

    def refresh(self, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        key = dg.AssetKey(["refersion", "conversions"])

        @dg.asset(key=key)
        def conversions() -> None:
            if self.error:
                raise dg.Failure(self.error)

        @dg.asset_check(asset=key, blocking=True)
        def control_totals_agree() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(
                passed=not self.offending,
                severity=self.severity,
                description="Loaded conversions differ from Refersion's own totals.",
                metadata={"offending_rows": self.offending},
            )

        job = dg.define_asset_job("refersion_refresh")
        given = dg.Definitions(assets=[conversions], asset_checks=[control_totals_agree], jobs=[job])
        resolved = given.resolve_job_def("refersion_refresh")
        return resolved.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)

    def tick(self) -> str:
        """One tick; what the sensor said."""
        with dg.build_sensor_context(self.instance, cursor=self.cursor) as context:
            data = alerts_sensor(Settings.of(self.variables)).evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data.skip_message or ""


@pytest.fixture
def watched(post: Post) -> Iterator[Watched]:
    with fresh_instance() as instance:
        yield Watched(
            instance,
            REFERSION_ALERT_URLS=post.url,
            REFERSION_DAGSTER_URL="https://dagster.example.com/",
            REFERSION_STATUS_URL="off",
        )


class TestFailedRuns:
    def test_one_is_told_with_the_reason_and_a_link(self, watched: Watched, post: Post) -> None:
        watched.error = "REFERSION_GRAPHQL_TOKEN is not set. Find it under Account > Settings."
        run = watched.refresh()
        watched.tick()
        (alert,) = post.got
        assert alert["title"] == "Refersion: refersion_refresh failed"
        assert watched.error in alert["message"]
        assert alert["message"].endswith(f"https://dagster.example.com/runs/{run.run_id}")

    def test_the_same_problem_is_told_once_until_it_is_solved(self, watched: Watched, post: Post) -> None:
        watched.error = "Refersion did not answer."
        for _ in range(3):
            watched.refresh()
            watched.tick()
            watched.tick()
        assert len(post.got) == 1
        watched.error = None
        watched.refresh()
        assert "0 unsolved" in watched.tick()
        watched.error = "Refersion did not answer."
        watched.refresh()
        watched.tick()
        assert len(post.got) == 2

    @pytest.mark.exhaustive
    def test_one_that_dagster_starts_again_is_not_reported_but_its_last_attempt_is(self, post: Post) -> None:
        retries = {"run_retries": {"enabled": True, "max_retries": 1}}
        with dg.instance_for_test(retries) as instance:
            watched = Watched(instance, REFERSION_ALERT_URLS=post.url)
            watched.error = "The process was killed."
            watched.refresh()
            assert watched.tick().startswith("Nothing new")
            watched.refresh({"dagster/max_retries": "0"})
            watched.tick()
        assert post.titles() == ["Refersion: refersion_refresh failed"]

    def test_those_from_before_the_sensor_first_ran_are_no_news(self, watched: Watched, post: Post) -> None:
        watched.error = "old"
        watched.refresh()
        watched.cursor = None
        watched.tick()
        watched.tick()
        assert post.got == []

    def test_those_of_other_code_locations_are_not_ours(self, watched: Watched, post: Post) -> None:
        @dg.op
        def fails() -> None:
            raise ValueError("somebody else's")

        @dg.job
        def somebody_elses() -> None:
            fails()

        somebody_elses.execute_in_process(instance=watched.instance, raise_on_error=False)
        watched.tick()
        assert post.got == []


class TestStatusPage:
    def test_a_failed_run_names_what_the_page_reports(
        self, watched: Watched, post: Post, sandbox: SandboxServer
    ) -> None:
        watched.variables["REFERSION_STATUS_URL"] = sandbox.status_url
        sandbox.report_incident("Errors in GraphQL", "critical")
        watched.error = "Refersion did not answer."
        watched.refresh()
        watched.tick()
        (alert,) = post.got
        assert "Refersion did not answer." in alert["message"]
        assert (
            'Refersion\'s status page reports: incident "Errors in GraphQL" (critical, investigating, since '
            '2025-07-01T00:00:00Z); component "GraphQL API" (major_outage).' in alert["message"]
        )
        assert sandbox.requests() == {"status": 1}

    def test_a_failed_check_has_another_reason(self, watched: Watched, post: Post, sandbox: SandboxServer) -> None:
        watched.variables["REFERSION_STATUS_URL"] = sandbox.status_url
        sandbox.report_incident("Errors in GraphQL")
        watched.offending = 3
        watched.refresh()
        watched.tick()
        (alert,) = post.got
        assert "status page" not in alert["message"]
        assert sandbox.requests() == {}

    def test_a_page_that_cannot_be_read_keeps_no_alert_back(
        self, watched: Watched, post: Post, sandbox: SandboxServer
    ) -> None:
        watched.variables["REFERSION_STATUS_URL"] = sandbox.status_url
        sandbox.fault("status", "503-html")
        watched.error = "Refersion did not answer."
        watched.refresh()
        watched.tick()
        (alert,) = post.got
        assert "status page" not in alert["message"]


class TestFailedChecks:
    def test_a_blocking_one_is_one_alert_with_its_meaning(self, watched: Watched, post: Post) -> None:
        watched.offending = 3
        watched.refresh()
        watched.tick()
        (alert,) = post.got
        assert "check control_totals_agree of refersion/conversions failed" in alert["title"]
        assert "(3 rows). Loaded conversions differ from Refersion's own totals." in alert["message"]

    def test_a_warning_is_for_the_ui_and_not_for_the_pager(self, watched: Watched, post: Post) -> None:
        watched.offending, watched.severity = 3, dg.AssetCheckSeverity.WARN
        watched.refresh()
        watched.tick()
        assert post.got == []


class TestLateData:
    def test_are_told_once(self, watched: Watched, post: Post) -> None:
        watched.refresh()
        watched.tick()
        assert post.got == []
        event = watched.instance.get_latest_materialization_event(asset_key(incidents.WATCHED))
        assert event
        much_later = datetime.fromtimestamp(event.timestamp, UTC) + timedelta(hours=31)
        found = incidents.find_late_load(watched.instance, much_later, timedelta(hours=30))
        assert found
        assert found.title == "conversions are 31 hours old"
        assert incidents.find_late_load(watched.instance, much_later, timedelta(hours=31)) is None

    def test_before_the_first_reading_nothing_is_late(self, watched: Watched) -> None:
        assert incidents.find_late_load(watched.instance, datetime.now(UTC), timedelta(hours=1)) is None

    @pytest.mark.parametrize(
        ("value", "allowed"),
        [("soon", "a whole number"), ("1.5", "a whole number"), ("0", "1 or more"), ("-3", "1 or more")],
    )
    def test_a_limit_that_makes_no_sense_is_told_by_its_name(self, watched: Watched, value: str, allowed: str) -> None:
        watched.variables["REFERSION_LATE_HOURS"] = value
        assert watched.tick() == f"REFERSION_LATE_HOURS is '{value}'; it has to be {allowed}."


class TestChannels:
    def test_a_broken_one_keeps_no_other_from_the_alert(
        self, watched: Watched, post: Post, caplog: pytest.LogCaptureFixture
    ) -> None:
        broken = "json://127.0.0.1:1/secret-of-a-channel"  # nobody listens on port 1
        watched.variables["REFERSION_ALERT_URLS"] = f"nonsense {broken}\n slack://bad {post.url}"
        watched.error = "Refersion did not answer."
        watched.refresh()
        watched.tick()
        assert len(post.got) == 1
        assert "secret-of-a-channel" not in caplog.text
        assert "hook-token-1234" not in caplog.text

    def test_without_any_it_says_so(self, watched: Watched) -> None:
        del watched.variables["REFERSION_ALERT_URLS"]
        assert watched.tick() == "REFERSION_ALERT_URLS is not set: no alerts are sent."

    def test_their_addresses_are_never_shown(self) -> None:
        (channel,) = channels(Settings.of({"REFERSION_ALERT_URLS": "slack://token-a/token-b"}).alerts)
        assert "token" not in f"{channel} {channel!r}"


def test_a_cursor_of_another_version_is_begun_anew() -> None:
    now = datetime.now(UTC)
    fresh = AlertsCursor(now.isoformat())
    assert (
        AlertsCursor.read("not JSON", now)
        == AlertsCursor.read('{"was": 1}', now)
        == AlertsCursor.read('{"after": "x"}', now)
        == fresh
    )

"""Bytes that BigQuery bills: what is shown and summed is all that the server billed.

The emulator reports no billed bytes, and leaves a query's default dataset out of the list of jobs. A server before it
adds both, and lists by time, as Google documents its API.
https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.usage.costs import summarize_costs
from refersion_dagster.usage.meter import METER, Usage
from refersion_dagster_tests.bigquery import BigQueryEmulator
from refersion_dagster_tests.location import NOW, account_of, materialise

pytestmark = pytest.mark.warehouses

ACCOUNT = SandboxSettings(affiliates=3, orders=5, days=30, now=NOW)
# What each query is billed for at least.
BILLED, SLOT_MS = 10 * 1024 * 1024, 500
# Headers that belong to one connection.
OF_CONNECTION = {"host", "connection", "content-length", "content-encoding", "transfer-encoding", "accept-encoding"}


class BillingServer:
    """Passes requests on to the emulator, and bills every query that is not a dry run for the same bytes.

    Args:
        lists: whether jobs may be listed.
    """

    def __init__(self, emulator: BigQueryEmulator, *, lists: bool = True) -> None:
        self.behind, self.lists = f"http://127.0.0.1:{emulator.port}", lists
        # Configurations of the billed jobs, by their id.
        self.billed: dict[str, dict[str, Any]] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = server.answer(self.command, self.path, body, dict(self.headers))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        address = urlsplit(path)
        is_list = method == "GET" and address.path.endswith("/jobs")
        if is_list and not self.lists:
            refused = {"code": 403, "message": "no", "errors": [{"reason": "accessDenied", "message": "no"}]}
            return 403, {"Content-Type": "application/json"}, json.dumps({"error": refused}).encode()
        found = requests.request(method, self.behind + path, data=body, headers=_kept(headers), timeout=300)
        kept = _kept(found.headers)
        if not found.ok or "json" not in found.headers.get("Content-Type", "") or not found.content:
            return found.status_code, kept, found.content
        told: dict[str, Any] = found.json()
        if method == "POST" and not address.path.startswith("/upload"):
            self._bill(address.path.rpartition("/")[2], json.loads(body), told)
        if is_list:
            asked = parse_qs(address.query)
            since = int(asked.get("minCreationTime", ["0"])[0])
            told["jobs"] = [job for job in told["jobs"] if float(job["statistics"]["creationTime"]) >= since]
        for job in told.get("jobs", [told]):
            self._show_bill(job)
        return found.status_code, kept, json.dumps(told).encode()

    def _bill(self, method: str, asked: dict[str, Any], told: dict[str, Any]) -> None:
        """Bills a query that did not fail: of the API's jobs.insert, or of jobs.query, which dlt uses."""
        asked = asked.get("configuration", {}) if method == "jobs" else {"query": asked} if method == "queries" else {}
        is_dry = asked.get("dryRun") or asked.get("query", {}).get("dryRun")
        if "query" in asked and not is_dry and not told.get("status", {}).get("errorResult"):
            self.billed[told["jobReference"]["jobId"]] = asked["query"]

    def _show_bill(self, job: dict[str, Any]) -> None:
        reference = job.get("jobReference", {}).get("jobId")
        if reference in self.billed and "statistics" in job:
            job["statistics"].setdefault("query", {}).update(totalBytesBilled=str(BILLED), totalSlotMs=str(SLOT_MS))
            if default := self.billed[reference].get("defaultDataset"):
                job["configuration"]["query"]["defaultDataset"] = default


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in OF_CONNECTION}


@pytest.fixture(scope="module")
def emulator() -> Iterator[BigQueryEmulator]:
    running = BigQueryEmulator()
    yield running
    running.stop()


@pytest.fixture
def server(emulator: BigQueryEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[BillingServer]:
    running = BillingServer(emulator)
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", running.url)
    yield running
    running.stop()


@pytest.fixture
def warehouse(server: BillingServer) -> Warehouse:
    return Warehouse(destination="bigquery", lock_timeout_seconds=0)


def test_all_that_a_run_is_billed_for_is_counted_and_shown_by_table(
    server: BillingServer, warehouse: Warehouse
) -> None:
    """Including the lease and dlt's merges."""
    before = METER.read()
    with SandboxServer(ACCOUNT) as sandbox:
        done = materialise(account_of(sandbox), warehouse, "refersion/offers", "refersion/payments")
    assert done.success, done.failure
    used = METER.read() - before
    assert any("MERGE" in query["query"] for query in server.billed.values())
    assert any("writer_lease" in query["query"] for query in server.billed.values())
    assert used == Usage(
        statements=len(server.billed),
        priced=len(server.billed),
        bytes_billed=len(server.billed) * BILLED,
        slot_milliseconds=len(server.billed) * SLOT_MS,
    )
    shown = [done.metadata[f"refersion/{table}"] for table in ("offers", "payments")]
    assert all(table["bytes_billed"] > 2 * BILLED for table in shown)
    assert all(table["slot_seconds"] == table["bytes_billed"] / BILLED * SLOT_MS / 1000 for table in shown)
    # The rest is what was sent after the last table: which keys belong to the account, and the end of the lease.
    assert 0 < used.bytes_billed - sum(table["bytes_billed"] for table in shown) < 20 * BILLED


def test_loads_whose_statements_are_not_listed_make_it_a_lower_bound(
    server: BillingServer, warehouse: Warehouse
) -> None:
    server.lists = False
    before = METER.read()
    with SandboxServer(ACCOUNT) as sandbox:
        done = materialise(account_of(sandbox), warehouse, "refersion/offers")
    assert done.success, done.failure
    used = METER.read() - before
    of_dlt = sum("defaultDataset" in query for query in server.billed.values())
    assert used.priced == len(server.billed) - of_dlt
    assert used.unpriced == 1
    assert "roles/bigquery.user" in done.metadata["refersion/offers"]["bytes_billed_not_reported"]
    assert summarize_costs(used).startswith(" The warehouse billed at least 0.")


def test_dry_runs_cost_nothing_and_rows_read_as_arrow_do(server: BillingServer, warehouse: Warehouse) -> None:
    database = warehouse.database
    with database.session(read_only=True) as session:
        before = METER.read()
        assert session.query("SELECT 1 AS a") == [(1,)]
        database.write_access(session)
        assert sum(table.num_rows for table in session.arrow("SELECT 1 AS a", 10)) == 1
    assert (METER.read() - before).bytes_billed == len(server.billed) * BILLED


def test_an_engine_that_reports_no_bytes_is_told_and_not_taken_for_free(
    emulator: BigQueryEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    before = METER.read()
    assert Warehouse(destination="bigquery").query("SELECT 1 AS a") == [(1,)]
    used = METER.read() - before
    assert used == Usage(statements=1, unpriced=1)
    assert summarize_costs(used) == " The warehouse did not report the bytes that it bills."

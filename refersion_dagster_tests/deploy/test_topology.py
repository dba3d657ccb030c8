"""deploy/ as plain processes with a real PostgreSQL and nginx: whatever is killed, everything recovers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from refersion_dagster.automation.code_server import GONE
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.deploy.topology import Topology, topology
from refersion_dagster_tests.location import MakeOnce, load_small
from refersion_dagster_tests.postgres import PostgresServer
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.webhooks.proxy import NGINX, Proxy, proxy_before

pytestmark = [pytest.mark.waits, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

SECONDS = 120
EVENT = b'{"id": 1, "name": "a topic that nobody knows"}'


@pytest.fixture
def running(account: SandboxServer, postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Topology]:
    with topology(tmp_path / "topology", postgres_server.create_database(), account) as made:
        yield made


@pytest.fixture
def proxy(running: Topology, tmp_path: Path) -> Iterator[Proxy]:
    (tmp_path / "proxy").mkdir()
    with proxy_before(running.ports["webhooks"], tmp_path / "proxy") as made:
        yield made


def test_everything_recovers_from_kills(running: Topology, proxy: Proxy, made_once: MakeOnce) -> None:
    # The process of a run, while it loads raw tables.
    first = running.launch("refersion_refresh")
    running.wait_until_built(first, "refersion/conversions")
    (run,) = running.services["code"].run_processes()
    run.kill()
    second = running.wait_for_retry(first)
    assert running.status(first) is dg.DagsterRunStatus.FAILURE

    # The code server with a run, while it builds summaries. Events are accepted meanwhile.
    running.wait_until_built(second, "summaries/conversions")
    running.services["code"].kill()
    assert proxy.post(EVENT).json() == {"status": "stored"}
    running.services["code"].start()
    third = running.wait_for_retry(second)
    assert running.status(second) is dg.DagsterRunStatus.FAILURE
    assert GONE in running.messages_of(second)

    # The daemon, while a run goes on.
    assert soon(lambda: running.status(third) is dg.DagsterRunStatus.STARTED, SECONDS, every=0.2)
    running.services["daemon"].kill()
    running.services["daemon"].start()
    assert soon(lambda: running.status(third) is dg.DagsterRunStatus.SUCCESS, SECONDS, every=0.2), running.log_of(third)

    # Nothing holds the queue or the warehouse: the sensor of the new daemon loads the event.
    assert soon(lambda: running.succeeded("refersion_webhooks"), SECONDS, every=0.2)
    running.services["code"].wait_until_healthy()
    with duckdb.connect(str(running.warehouse), read_only=True) as connection:
        connection.execute(f"ATTACH '{made_once('everything_built', load_small)}' AS undisturbed (READ_ONLY)")
        assert connection.execute("SELECT count(*) FROM refersion_data.webhook_events").fetchall() == [(1,)]
        assert differing_tables(connection) == []


def differing_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Tables with other rows than those of an undisturbed run. Tables of dlt and of locks are left out."""
    tables = connection.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'undisturbed' "
        "AND NOT starts_with(table_name, '_') AND table_name <> 'webhook_events'"
    ).fetchall()
    assert len(tables) > 40
    differing = []
    for (table,) in tables:
        here, there = f"FROM {table}", f"FROM undisturbed.{table}"
        for one, other in ((here, there), (there, here)):
            if connection.execute(f"{one} EXCEPT ALL {other}").fetchall():
                differing.append(table)
    return differing

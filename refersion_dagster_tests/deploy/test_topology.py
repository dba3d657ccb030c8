"""deploy/ as plain processes with a real PostgreSQL and nginx: whatever is killed, everything recovers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from refersion_dagster.automation.code_server import GONE
from refersion_dagster.definitions import defs
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.deploy.topology import SECONDS, Topology, topology
from refersion_dagster_tests.location import MakeOnce, load_small
from refersion_dagster_tests.postgres import PostgresServer
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.webhooks.proxy import NGINX, Proxy, proxy_before

pytestmark = [pytest.mark.waits, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

# Figures that stand on most raw tables. The whole refresh would take minutes, several times.
LAST = "summaries/commission_liability"
EVENTS = (b'{"id": 1, "name": "while the code server was gone"}', b'{"id": 2, "name": "for the new daemon"}')


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
    wanted = dg.AssetSelection.assets(dg.AssetKey(LAST.split("/"))).upstream()
    first = running.launch_refresh(wanted.resolve(defs.get_repository_def().asset_graph))
    running.wait_until_built(first, "refersion/conversions")
    (run,) = running.services["code"].run_processes()
    run.kill()
    second = running.wait_for_retry(first)
    assert running.status(first) is dg.DagsterRunStatus.FAILURE

    # The code server with a run, while it builds summaries. Events are accepted meanwhile.
    running.wait_until_built(second, "summaries/conversions")
    running.services["code"].kill()
    assert proxy.post(EVENTS[0]).json() == {"status": "stored"}
    running.services["code"].start()
    third = running.wait_for_retry(second)
    assert running.status(second) is dg.DagsterRunStatus.FAILURE
    assert GONE in running.messages_of(second)

    # The daemon, while a run goes on.
    assert soon(lambda: running.status(third) is dg.DagsterRunStatus.STARTED, SECONDS, every=0.2)
    running.services["daemon"].kill()
    running.services["daemon"].start()
    assert soon(lambda: running.status(third) is dg.DagsterRunStatus.SUCCESS, SECONDS, every=0.2), running.log_of(third)

    # Nothing holds the queue or the warehouse: a sensor of the new daemon has the last event loaded.
    assert proxy.post(EVENTS[1]).json() == {"status": "stored"}
    assert soon(lambda: running.waiting_events() == 0, SECONDS, every=0.5)
    running.services["code"].wait_until_healthy()
    # Ends what sensors may have started since then, as DuckDB's file has one process at a time.
    running.services["code"].kill()
    with duckdb.connect(str(running.warehouse)) as connection:
        connection.execute(f"ATTACH '{made_once('everything_built', load_small)}' AS undisturbed (READ_ONLY)")
        assert connection.execute("SELECT count(*) FROM refersion_data.webhook_events").fetchall() == [(len(EVENTS),)]
        tables = tables_of(connection)
        assert {LAST.replace("summaries/", "refersion_summaries."), "refersion_data.conversions"} < tables
        assert differing(connection, tables) == []


def tables_of(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Tables that an undisturbed run fills as well, without those of dlt and of locks, and without readings.

    Every reading is kept, and a run that starts again reads again.
    """
    found = connection.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = current_database() "
        "AND NOT starts_with(table_name, '_') AND NOT starts_with(table_name, 'webhook_') "
        "AND table_name <> 'conversion_readings'"
    )
    return {table for (table,) in found.fetchall()}


def differing(connection: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> list[str]:
    """Tables with other rows than those of an undisturbed run."""
    found = []
    for table in tables:
        here, there = f"FROM {table}", f"FROM undisturbed.{table}"
        for one, other in ((here, there), (there, here)):
            if connection.execute(f"{one} EXCEPT ALL {other}").fetchall():
                found.append(table)
    return found

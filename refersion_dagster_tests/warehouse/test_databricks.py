"""Databricks: the SQL sent to it runs in Spark, and the real connector's errors are reported in plain words.

No workspace was tried. Spark has neither Delta tables nor an information_schema here. Statements that need Delta are
only parsed, and the queries of Unity Catalog run on tables with the columns that Databricks documents.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import duckdb
import pytest

from refersion_dagster.warehouse import lease
from refersion_dagster.warehouse.databricks.errors import convert_error
from refersion_dagster.warehouse.databricks.session import (
    COLUMNS,
    COMMENTS,
    MAY_WRITE,
    SCHEMA,
    SETTINGS,
    DatabricksSession,
    comment_statements,
    swap_statement,
)
from refersion_dagster.warehouse.session import TABLES
from refersion_dagster.warehouse.sql import Value, write_statement
from refersion_dagster_tests.engines.engine import HERE, Engine, installed, started
from refersion_dagster_tests.location import REPOSITORY

TOKEN = "dapi0123456789"
COLUMNS_OF = "SELECT * FROM refersion_summaries.pay"


@pytest.fixture(scope="module")
def spark() -> Iterator[Engine]:
    with started("spark") as engine:
        yield engine


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of Unity Catalog, as Databricks documents them, with one table of ours."""
    folder = tmp_path_factory.mktemp("catalog")
    known = {
        "information_schema.columns": "'refersion_data' AS table_schema, 'clicks' AS table_name, 'id' AS column_name, "
        "'timestamp_ntz' AS full_data_type, 'Its number.' AS comment, 1 AS ordinal_position",
        "information_schema.tables": "'refersion_data' AS table_schema, 'clicks' AS table_name, 'Clicks.' AS comment",
        "information_schema.schemata": "'refersion_data' AS schema_name",
        "refersion_data.writer_lease": "'' AS token, '' AS holder, TIMESTAMPTZ '2025-01-01 00:00:00+00' AS taken_at, "
        "TIMESTAMPTZ '2025-01-01 00:00:00+00' AS valid_until",
    }
    for name, select in known.items():
        duckdb.sql(f"COPY (SELECT {select}) TO '{folder}/{name}.parquet' (FORMAT parquet)")
    return folder


def rows(spark: Engine, catalog: Path, sql: str) -> list[list[str | None]]:
    """Spark's result for SQL in its own dialect."""
    answer = spark.run(catalog, {"": sql})[""]
    assert "error" not in answer, answer["error"]
    return answer["rows"]


def databricks(sql: str, **values: Value) -> str:
    return write_statement(sql, values, DatabricksSession.dialect)


@pytest.mark.warehouses
def test_questions_to_the_catalogue_run(spark: Engine, catalog: Path) -> None:
    clicks: dict[str, Value] = {"schema": "refersion_data", "table": "clicks"}
    assert rows(spark, catalog, databricks(TABLES, schema="refersion_data")) == [["clicks"]]
    assert rows(spark, catalog, databricks(COLUMNS, **clicks)) == [["id", "timestamp_ntz"]]
    assert rows(spark, catalog, databricks(COMMENTS, **clicks)) == [["", "Clicks."], ["id", "Its number."]]
    assert rows(spark, catalog, databricks(SCHEMA, schema="refersion_data")) == [["1"]]
    assert rows(spark, catalog, databricks(SCHEMA, schema="refersion_summaries")) == []
    assert rows(spark, catalog, f"PARSE {MAY_WRITE}") == []


@pytest.mark.warehouses
def test_a_lease_is_made_taken_extended_and_given_back(spark: Engine, catalog: Path) -> None:
    table = f"{lease.DATASET}.{lease.TABLE}"
    make = databricks(lease.CREATE).replace(lease.TABLE, "other_lease")
    rows(spark, catalog, make)
    rows(spark, catalog, make)
    assert rows(spark, catalog, databricks(lease.LOOK).replace(lease.TABLE, "other_lease"))[0][3] == "false"
    take = databricks(lease.TAKE.format(table=table, seconds=120), token="a", holder="b")
    ((token, holder, taken_at, until),) = rows(spark, catalog, take)
    assert (token, holder) == ("a", "b")
    assert taken_at
    assert until
    assert taken_at < until
    extend = lease.EXTEND.format(table=table, seconds=120)
    assert len(rows(spark, catalog, databricks(extend, token=""))) == 1
    assert rows(spark, catalog, databricks(extend, token="another's")) == []
    assert rows(spark, catalog, databricks(lease.GIVE_BACK, token="another's")) == []


@pytest.mark.warehouses
def test_rows_are_replaced_by_one_statement(spark: Engine, catalog: Path) -> None:
    for statement in SETTINGS:
        rows(spark, catalog, statement)
    rows(spark, catalog, "CREATE TABLE refersion_summaries.pay AS SELECT 1 AS id, 'x' AS name")
    rows(spark, catalog, "CREATE TABLE refersion_summaries.pay__new AS\nSELECT 2 AS id, 'y' AS name")
    rows(spark, catalog, swap_statement("refersion_summaries", "pay", "pay__new", has_same_columns=True))
    assert rows(spark, catalog, COLUMNS_OF) == [["2", "y"]]
    # Parquet tables cannot be replaced.
    replaced = swap_statement("refersion_summaries", "pay", "pay__new", has_same_columns=False)
    assert replaced.startswith("CREATE OR REPLACE TABLE refersion_summaries.pay AS SELECT")
    assert rows(spark, catalog, f"PARSE {replaced}") == []


@pytest.mark.warehouses
def test_descriptions_are_stored_as_they_are(spark: Engine, catalog: Path) -> None:
    rows(spark, catalog, "CREATE TABLE refersion_summaries.told AS SELECT 1 AS id, 'x' AS name")
    table, *columns = comment_statements("refersion_summaries", "told", r"It's \N 5 %", {"id": "An 'id'", "name": "x"})
    rows(spark, catalog, table)
    detail = rows(spark, catalog, "DESCRIBE EXTENDED refersion_summaries.told")
    assert [value for name, value, _ in detail if name == "Comment"] == [r"It's \N 5 %"]
    # Spark changes one column of a Parquet table at a time.
    (all_at_once,) = columns
    assert rows(spark, catalog, f"PARSE {all_at_once}") == []
    rows(spark, catalog, comment_statements("refersion_summaries", "told", "", {"id": "An 'id'"})[1])
    assert rows(spark, catalog, "DESCRIBE refersion_summaries.told")[0][2] == "An 'id'"


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server that answers every request with this status. Yields its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def opened(port: int) -> dict[str, str]:
    """The session's error when the real connector connects to this port."""
    (packages,) = installed("databricks").glob("lib/python3*/site-packages")
    connection = {"_connection_uri": f"http://127.0.0.1:{port}/sql/1.0/warehouses/abc", "enable_telemetry": False}
    credentials = {
        "SERVER_HOSTNAME": "127.0.0.1",
        "HTTP_PATH": "/sql/1.0/warehouses/abc",
        "CATALOG": "analytics",
        "ACCESS_TOKEN": TOKEN,
        "CONNECTION_PARAMETERS": json.dumps({**connection, "_retry_stop_after_attempts_count": 2}),
    }
    named = {f"DESTINATION__DATABRICKS__CREDENTIALS__{name}": value for name, value in credentials.items()}
    done = subprocess.run(
        [sys.executable, str(HERE / "runners" / "databricks.py"), "run"],
        env={**os.environ, **named, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{packages}", "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.warehouses
@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, "WarehouseForbidden", "did not accept the credentials (HTTP 401)"),
        (403, "WarehouseForbidden", "CAN USE on the SQL warehouse"),
        (404, "WarehouseNotSet", "no SQL warehouse under that HTTP path"),
    ],
)
def test_an_answer_of_the_server_is_told_in_words(status: int, kind: str, said: str) -> None:
    with answering(status) as port:
        found = opened(port)
    assert found["location"] == "databricks://127.0.0.1/analytics"
    assert found["kind"] == kind
    assert said in found["said"]


@pytest.mark.warehouses
def test_a_host_that_does_not_answer_is_told_in_words() -> None:
    with answering(401) as port:
        pass
    assert opened(port)["kind"] == "WarehouseUnreachable"


def test_an_error_of_a_statement_is_no_trouble_of_the_server() -> None:
    assert convert_error(ValueError("PERMISSION_DENIED")) is None

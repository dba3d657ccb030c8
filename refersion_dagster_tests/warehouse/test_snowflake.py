"""Snowflake: dlt, the real connector and an emulator of the account, which shows that the way works.

Tables and the lease are tried by the tests of all databases, figures by test_same_figures.py, statements by
test_snowflake_figures.py. No account was tried.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.doctor.warehouse import NAMES
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.usage.meter import METER
from refersion_dagster.warehouse.errors import (
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.session import Session, UndefinedTable
from refersion_dagster.warehouse.sql import parse
from refersion_dagster_tests.actions.any_warehouse import check_writing
from refersion_dagster_tests.ingest.interruptions.interrupted_load import ACCOUNT as INTERRUPTED
from refersion_dagster_tests.ingest.interruptions.interrupted_load import ASSETS, ROWS_PER_LOAD, at_the_source
from refersion_dagster_tests.location import NOW, Location, account_of, materialise
from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.snowflake import CREDENTIALS, DATABASE, PASSWORD, SnowflakeEmulator, address
from refersion_dagster_tests.summaries.builders import all_summaries
from refersion_dagster_tests.test_secrets import files_with
from refersion_dagster_tests.warehouse import test_lease, test_session
from refersion_dagster_tests.warehouse.test_ducklake import SUMS
from refersion_dagster_tests.warehouse.test_lease import (  # noqa: F401 - they run here as well
    test_a_holder_that_lives_keeps_it_beyond_its_term,
    test_a_holder_whose_right_was_taken_over_is_told_when_it_checks_and_when_it_ends,
    test_a_table_that_cannot_tell_is_an_error,
    test_its_thread_notices_too,
    test_of_many_at_once_one_has_the_right,
    test_the_right_is_free_again_after_a_run_that_failed,
    test_the_runs_own_error_comes_first,
    test_who_waits_goes_on_when_the_right_is_given_back,
    test_who_waits_in_vain_is_told_for_whom_and_writes_nothing,
)

pytestmark = pytest.mark.warehouses

ACCOUNT = SandboxSettings(affiliates=8, orders=60, days=90, now=NOW)
REFRESH = ("dagster", "job", "execute", "-m", "refersion_dagster.definitions", "-j", "refersion_refresh")
MATERIALISE = ("dagster", "asset", "materialize", "-m", "refersion_dagster.definitions", "--select", ",".join(ASSETS))
PATIENCE = 1200
# As Snowflake answers a login.
WELCOME: dict[str, Any] = {
    "success": True,
    "code": None,
    "message": None,
    "data": {
        "token": "a token",
        "masterToken": "another",
        "validityInSeconds": 3600,
        "masterValidityInSeconds": 14400,
        "sessionId": 1,
        "serverVersion": "9.0.0",
        "parameters": [],
        "sessionInfo": {"databaseName": "ANALYTICS", "schemaName": None, "warehouseName": None, "roleName": "LOADER"},
    },
}


@pytest.fixture
def warehouse(
    snowflake_emulator: SnowflakeEmulator, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Warehouse:
    """A database of this test's own."""
    database = f"of_test_{abs(hash(request.node.nodeid))}"
    for name, value in snowflake_emulator.environment(database).items():
        monkeypatch.setenv(name, value)
    return Warehouse(destination="snowflake", lock_timeout_seconds=0)


def swap(session: Session, select: str) -> None:
    session.swap_in("made", "numbers", session.build_beside("made", "numbers", session.translated(parse(select))))


class TestTables(test_session.TestTables):
    """Those of all databases."""


class TestProcesses(test_lease.TestProcesses):
    """Those of all databases."""

    @pytest.fixture
    def warehouse(self, warehouse: Warehouse) -> Warehouse:  # pyright: ignore[reportIncompatibleMethodOverride]
        return warehouse


class TestSession:
    def test_it_is_in_utc_with_weeks_from_monday_and_has_a_name(
        self, snowflake_emulator: SnowflakeEmulator, warehouse: Warehouse
    ) -> None:
        with warehouse.session() as session:
            session.native("SELECT 1")
        *_, login = snowflake_emulator.logins
        assert {name: str(value) for name, value in login["SESSION_PARAMETERS"].items()}.items() >= {
            "TIMEZONE": "UTC",
            "WEEK_START": "1",
            "ROWS_PER_RESULTSET": "0",
            "QUERY_TAG": "refersion_dagster",
        }.items()

    def test_texts_come_back_as_they_were_given(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            for text in test_session.TEXTS:
                assert session.query("SELECT $text, $text = $other", text=text, other=text) == [(text, True)]

    def test_values_come_back_as_they_were_given(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            for value in (0, -7, 2**62, True, False, None, date(2024, 2, 29), datetime(2025, 3, 30, 1, tzinfo=UTC)):
                ((found,),) = session.query("SELECT $value AS value", value=value)
                assert found == value

    def test_the_seconds_of_statements_are_counted(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            before = METER.read()
            assert session.query("SELECT 1 AS a") == [(1,)]
            assert sum(table.num_rows for table in session.arrow("SELECT 1 AS a", 10)) == 1
        used = METER.read() - before
        assert (used.statements, used.timed, used.priced, used.unpriced) == (2, 2, 0, 0)
        assert used.seconds > 0

    def test_columns_have_lower_case_names_and_duckdbs_types(self, warehouse: Warehouse) -> None:
        select = """
        SELECT 'a' AS word, CAST(1 AS BIGINT) AS big, CAST(1 AS DECIMAL(18, 4)) AS money, CAST(1 AS DOUBLE) AS rough,
          TRUE AS yes, CAST('2025-01-01' AS DATE) AS day, CAST('2025-01-01 00:00:00+00' AS TIMESTAMPTZ) AS moment,
          CAST('2025-01-01' AS DATE) AS "order"
        """
        with warehouse.session() as session:
            swap(session, select)
            assert session.columns("made", "numbers") == [
                ("word", "varchar"),
                ("big", "bigint"),
                ("money", "decimal(18,4)"),
                ("rough", "double"),
                ("yes", "boolean"),
                ("day", "date"),
                ("moment", "timestamp with time zone"),
                ("order", "date"),
            ]
            (rows,) = session.arrow("SELECT * FROM made.numbers", 10)
        assert dict(zip(rows.schema.names, rows.schema.types, strict=True)) == {
            "word": pa.string(),
            "big": pa.int64(),
            "money": pa.decimal128(18, 4),
            "rough": pa.float64(),
            "yes": pa.bool_(),
            "day": pa.date32(),
            "moment": pa.timestamp("us", "UTC"),
            "order": pa.date32(),
        }

    def test_a_table_that_is_not_there_cannot_be_read(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            assert session.columns("nowhere", "numbers") == []
            assert session.tables("nowhere") == []
            with pytest.raises(UndefinedTable):
                session.count("nowhere", "numbers")

    def test_changes_of_rows_are_all_or_nothing(self, warehouse: Warehouse) -> None:
        def change(session: Session, *statements: str) -> None:
            with session.transaction():
                for statement in statements:
                    session.query(statement)

        with warehouse.session() as session, warehouse.session() as other:
            swap(session, "SELECT 1 AS number")
            with pytest.raises(DatabaseException):
                change(session, "INSERT INTO made.numbers VALUES (2)", "INSERT INTO made.numbers VALUES ('three')")
            assert session.query("SELECT number FROM made.numbers") == [(1,)]
            with session.transaction():
                session.query("INSERT INTO made.numbers VALUES (4)")
                assert other.count("made", "numbers") == 1
            assert other.count("made", "numbers") == 2

    def test_descriptions_are_stored_and_survive_a_swap(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            swap(session, "SELECT 1 AS a, 2 AS b, 3 AS c")
            session.comment("made", "numbers", "It's  all", {"a": "It's \\ a\nnumber", "b": "x, COLUMN y", "d": "no"})
            swap(session, "SELECT 2 AS a, 2 AS b, 3 AS c")
            expected = {"": "It's all", "a": "It's \\ a number", "b": "x, COLUMN y", "c": None}
            assert session.comments("made", "numbers") == expected

    @pytest.mark.parametrize(
        ("rights", "is_granted"),
        [
            ([], False),
            ([("DATABASE", "USAGE", "")], False),
            ([("DATABASE", "CREATE SCHEMA", "")], True),
            ([("SCHEMA", "CREATE TABLE", name) for name in ("REFERSION_DATA", "REFERSION_SUMMARIES")], False),
            ([("SCHEMA", "OWNERSHIP", f"REFERSION_{name}") for name in ("DATA", "DATA_STAGING", "SUMMARIES")], True),
        ],
    )
    def test_whether_the_role_may_write_is_asked(
        self, warehouse: Warehouse, rights: list[tuple[str, str, str]], is_granted: bool
    ) -> None:
        database = warehouse.database
        with warehouse.session() as session:
            grant(session, *rights)
            assert database.write_access(session).is_granted == is_granted


def grant(session: Session, *rights: tuple[str, str, str]) -> None:
    """Makes the emulator's table of privileges, which holds these kinds, privileges and names, and one of another."""
    ((database,),) = session.native("SELECT CURRENT_DATABASE()")
    session.native("CREATE SCHEMA IF NOT EXISTS granted")
    columns = ("grantee", "object_catalog", "object_name", "object_type", "privilege_type")
    session.native(
        f"CREATE OR REPLACE TABLE granted.object_privileges ({', '.join(f'{name} VARCHAR' for name in columns)})"
    )
    for kind, privilege, name in rights:
        values = "', '".join(("LOADER", database, name or database, kind, privilege))
        session.native(f"INSERT INTO granted.object_privileges VALUES ('{values}')")
    session.native(
        f"INSERT INTO granted.object_privileges VALUES ('OTHER', '{database}', '{database}', 'DATABASE', 'OWNERSHIP')"
    )


class TestCredentials:
    def test_a_key_pair_logs_in_without_a_password(
        self, snowflake_emulator: SnowflakeEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSWORD.encode()),
        )
        (tmp_path / "key.p8").write_bytes(key)
        login = self.login_with(
            snowflake_emulator,
            monkeypatch,
            PRIVATE_KEY_PATH=str(tmp_path / "key.p8"),
            PRIVATE_KEY_PASSPHRASE=PASSWORD,
        )
        assert login["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
        assert "PASSWORD" not in login

    def test_a_programmatic_access_token_logs_in(
        self, snowflake_emulator: SnowflakeEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        login = self.login_with(
            snowflake_emulator, monkeypatch, AUTHENTICATOR="PROGRAMMATIC_ACCESS_TOKEN", TOKEN="a token"
        )
        assert (login["AUTHENTICATOR"], login["TOKEN"]) == ("PROGRAMMATIC_ACCESS_TOKEN", "a token")

    def login_with(
        self, emulator: SnowflakeEmulator, monkeypatch: pytest.MonkeyPatch, **credentials: str
    ) -> Mapping[str, Any]:
        """What the connector sends with credentials that are set one by one."""
        way = {"host": "127.0.0.1", "port": emulator.port, "protocol": "http"}
        named = {
            "HOST": "refersion-tests",
            "DATABASE": DATABASE,
            "WAREHOUSE": "refresh",
            "USERNAME": "loader",
            **credentials,
            "QUERY": json.dumps(way),
        }
        for name, value in named.items():
            monkeypatch.setenv(f"{CREDENTIALS}__{name}", value)
        warehouse = Warehouse(destination="snowflake")
        assert warehouse.location == f"snowflake://refersion-tests/{DATABASE}"
        assert warehouse.query("SELECT 1") == [(1,)]
        return emulator.logins[-1]


@contextmanager
def answering(login: tuple[int, object], query: tuple[int, object] = (200, {})) -> Iterator[int]:
    """A server that answers each login and each query so, by its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, said = (
                login if "login-request" in self.path else query if "query-request" in self.path else (200, WELCOME)
            )
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def refusal(code: str, said: str, state: str = "08001") -> tuple[int, object]:
    """An error as Snowflake says it."""
    data = {"errorCode": code, "sqlState": state}
    return 200, {"success": False, "code": code, "message": said, "data": data}


class TestErrors:
    """Of the real connector, which gives up after some seconds here."""

    def error(self, port: int, monkeypatch: pytest.MonkeyPatch) -> WarehouseError:
        monkeypatch.setenv(CREDENTIALS, address(port, login_timeout="5", network_timeout="5"))
        with pytest.raises(WarehouseError) as caught:
            Warehouse(destination="snowflake").query("SELECT 1")
        shown = "".join(traceback.format_exception(caught.value))
        assert PASSWORD not in shown
        return caught.value

    @pytest.mark.parametrize(
        ("code", "snowflake", "kind", "said"),
        [
            ("390100", "Incorrect username or password was specified.", WarehouseForbidden, "refused the login"),
            ("390144", "JWT token is invalid.", WarehouseForbidden, "its key or token"),
            ("390189", "Role 'X' is not granted to this user.", WarehouseForbidden, "its role"),
            ("390422", "Incoming request with IP/Token 1.2.3.4 is not allowed.", WarehouseForbidden, "network"),
            ("390201", "The requested database does not exist.", WarehouseNotSet, f"{CREDENTIALS}__DATABASE"),
        ],
    )
    def test_a_login_that_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, code: str, snowflake: str, kind: type[WarehouseError], said: str
    ) -> None:
        with answering(refusal(code, snowflake)) as port:
            found = self.error(port, monkeypatch)
        assert type(found) is kind
        assert said in str(found)
        assert snowflake in str(found)

    @pytest.mark.parametrize(
        ("code", "state", "snowflake", "kind", "said"),
        [
            ("000606", "57P03", "No active warehouse selected in the current session.", WarehouseNotSet, "AUTO_RESUME"),
            ("090105", "22000", "This session does not have a current database.", WarehouseNotSet, "Create it"),
            ("003001", "42501", "Insufficient privileges to operate on database 'A'", WarehouseForbidden, "GRANT"),
            ("090073", "22000", "Warehouse 'W' cannot be resumed because", WarehouseFull, "resource monitor"),
            ("000666", "57014", "Your free trial has ended", WarehouseFull, "A limit of the Snowflake account"),
            ("390114", "08001", "Authentication token has expired.", WarehouseUnreachable, "Run again"),
        ],
    )
    def test_a_statement_that_is_refused(
        self,
        monkeypatch: pytest.MonkeyPatch,
        code: str,
        state: str,
        snowflake: str,
        kind: type[WarehouseError],
        said: str,
    ) -> None:
        with answering((200, WELCOME), refusal(code, snowflake, state)) as port:
            found = self.error(port, monkeypatch)
        assert type(found) is kind
        assert said in str(found)

    @pytest.mark.parametrize("status", [403, 404])
    def test_an_account_that_there_is_not(self, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
        with answering((status, {})) as port:
            found = self.error(port, monkeypatch)
        assert type(found) is WarehouseNotSet
        assert f"Check {CREDENTIALS}__HOST" in str(found)

    @pytest.mark.parametrize("answers", [[(503, {})], [(200, WELCOME), (503, {})]], ids=["login", "statement"])
    def test_a_service_that_is_down(self, monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, object]]) -> None:
        with answering(*answers) as port:
            found = self.error(port, monkeypatch)
        assert type(found) is WarehouseUnreachable
        assert found.may_pass

    def test_a_server_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with answering((200, WELCOME)) as port:
            pass
        assert type(self.error(port, monkeypatch)) is WarehouseUnreachable


class TestLoads:
    @pytest.fixture
    def sandbox(self) -> Iterator[SandboxServer]:
        with SandboxServer(INTERRUPTED) as running:
            yield running

    def test_with_a_journal_elsewhere_each_item_is_sent_once(
        self, warehouse: Warehouse, sandbox: SandboxServer, tmp_path: Path
    ) -> None:
        check_writing(warehouse.destination, sandbox, tmp_path)

    def test_tables_are_merged_by_one_statement(self, warehouse: Warehouse, sandbox: SandboxServer) -> None:
        from refersion_dagster.refersion import ReadReport

        source = warehouse.prepare(account_of(sandbox).source(ReadReport()))
        tables: list[dict[str, Any]] = [dict(one.compute_table_schema()) for one in source.resources.values()]
        assert {table["x-merge-strategy"] for table in tables} == {"upsert"}

    def test_moments_are_moments_and_no_file_stays_in_a_stage(
        self, warehouse: Warehouse, sandbox: SandboxServer, snowflake_emulator: SnowflakeEmulator
    ) -> None:
        done = materialise(account_of(sandbox), warehouse, *ASSETS)
        assert done.success, done.failure
        kinds = "SELECT DISTINCT data_type FROM information_schema.columns WHERE column_name = 'CREATED'"
        with warehouse.session() as session:
            assert "timestamp with time zone" in dict(session.columns(DATASET, "conversions")).values()
            assert [kind.startswith("TIMESTAMP") for (kind,) in session.native(kinds)] == [True]
        assert snowflake_emulator.staged == []
        # Loads are as well.
        tags = {login["SESSION_PARAMETERS"].get("QUERY_TAG") for login in snowflake_emulator.logins}
        assert tags == {"refersion_dagster"}

    @pytest.mark.parametrize("loads", [0, 1, 3])
    def test_one_that_is_killed_goes_on_where_it_was(
        self, warehouse: Warehouse, sandbox: SandboxServer, tmp_path: Path, loads: int
    ) -> None:
        settings = {name: os.environ[name] for name in ("REFERSION_DESTINATION", CREDENTIALS)}
        location = Location.of(tmp_path, sandbox).with_settings(REFERSION_ROWS_PER_LOAD=str(ROWS_PER_LOAD), **settings)

        def reached() -> bool:
            if process.poll() is not None:
                return True
            with warehouse.session() as session:
                there = session.tables(DATASET)
                if loads == 0:
                    return bool(session.tables(f"{DATASET}_staging"))
                return "_dlt_loads" in there and session.count(DATASET, "_dlt_loads") >= loads

        with location.start(*MATERIALISE) as process:
            assert soon(reached, seconds=300, every=0.05)
            os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        # Its lease ends two minutes later.
        warehouse.query("UPDATE refersion_data.writer_lease SET valid_until = CURRENT_TIMESTAMP")

        again = materialise(account_of(sandbox, rows_per_load=ROWS_PER_LOAD), warehouse, *ASSETS)

        assert again.success, again.failure
        assert {row[:4]: row[4:] for row in warehouse.query(SUMS)} == at_the_source(sandbox)
        history = "SELECT count(*), count(DISTINCT id), count(DISTINCT change) FROM refersion_data.conversion_history"
        number = sandbox.sums()["number_of_conversions"]
        assert warehouse.query(history) == [(number, number, 1)]
        assert files_with(tmp_path, PASSWORD) == []


Refreshed = tuple[Location, SandboxServer, Warehouse, list[dict[str, int]]]


class TestRefresh:
    @pytest.fixture(scope="class")
    def refreshed(
        self, snowflake_emulator: SnowflakeEmulator, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Refreshed]:
        """A location after two refreshes of an account in which nothing happens meanwhile, and the rows after each."""
        environment = snowflake_emulator.environment("refreshed")
        with SandboxServer(ACCOUNT) as sandbox, snowflake_emulator.in_use("refreshed"):
            location = Location.of(tmp_path_factory.mktemp("refreshed"), sandbox).with_settings(**environment)
            warehouse = Warehouse(destination="snowflake")
            counts: list[dict[str, int]] = []
            for _ in range(2):
                with location.start(*REFRESH) as process:
                    output, _ = process.communicate(timeout=PATIENCE)
                assert process.returncode == 0, output
                assert PASSWORD not in output
                with warehouse.session() as session:
                    counts.append({name: session.count(DATASET, name) for name in session.tables(DATASET)})
            yield location, sandbox, warehouse, counts

    def test_rows_that_are_read_again_are_there_once(self, refreshed: Refreshed) -> None:
        _, sandbox, _, (first, second) = refreshed
        ours = [name for name in first if not name.startswith("_dlt")]
        assert {name: second[name] for name in ours} == {name: first[name] for name in ours}
        assert first["conversions"] == sandbox.sums()["number_of_conversions"]
        assert first["conversion_history"] == first["conversions"]

    def test_every_table_is_made_and_described_and_every_check_passes(self, refreshed: Refreshed) -> None:
        location, _, warehouse, _ = refreshed
        with location.records() as instance:
            checks = [
                evaluated
                for run in instance.get_runs()
                for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
                if entry.dagster_event and (evaluated := entry.dagster_event.asset_check_evaluation_data)
            ]
        assert [check.check_name for check in checks if not check.passed] == []
        assert len(checks) > 2 * 70
        with warehouse.session() as session:
            assert session.tables(SUMMARIES) == sorted(summary.name for summary in all_summaries())
            for summary in all_summaries():
                assert None not in session.comments(SUMMARIES, summary.name).values(), summary.name

    def test_copies_and_report_are_published(self, refreshed: Refreshed) -> None:
        location, _, warehouse, _ = refreshed
        published = location.folder / "refersion_published" / "current"
        with (
            duckdb.connect(str(published / "refersion.duckdb"), read_only=True) as copy,
            warehouse.session() as session,
        ):
            for summary in all_summaries():
                ((rows,),) = copy.execute(f"SELECT count(*) FROM {SUMMARIES}.{summary.name}").fetchall()
                assert rows == session.count(SUMMARIES, summary.name), summary.name
        assert list((location.folder / "refersion_reports").rglob("*.html"))

    def test_doctor_finds_nothing(self, refreshed: Refreshed) -> None:
        location, _, warehouse, _ = refreshed
        with warehouse.session() as session:
            grant(session, ("DATABASE", "CREATE SCHEMA", ""))
        found = json.loads(location.run("refersion-dagster", "doctor", "--json").output)
        checks = {one["name"]: one["status"] for one in found["checks"]}
        assert {name: checks[name] for name in NAMES} == dict.fromkeys(NAMES, "ok")

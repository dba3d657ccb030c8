"""MotherDuck: the differences from DuckDB. These tests have no account; see cloud_file.py."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from dlt.destinations.exceptions import DatabaseTerminalException

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    KeysNotEnforced,
    LeaseLost,
    WarehouseBusy,
    WarehouseError,
    WarehouseForbidden,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.lease import LOOK
from refersion_dagster.warehouse.motherduck.database import MotherDuckDatabase
from refersion_dagster_tests.actions.any_warehouse import check_writing
from refersion_dagster_tests.location import account_of, materialise
from refersion_dagster_tests.warehouse.cloud_file import TOKEN, CloudFile, cloud_on_file

CREDENTIALS = "DESTINATION__MOTHERDUCK__CREDENTIALS"
# Messages of DuckDB and MotherDuck. The first two were produced here, the token's is from a user's report, and the
# others are DuckDB's usual messages: none of those has been observed from the service.
SAID = [
    (
        duckdb.IOException,
        'IO Error: Failed to download extension "motherduck" at URL "http://extensions.duckdb.org/v1.5.5/linux_amd64/'
        'motherduck.duckdb_extension.gz" (ERROR Could not establish connection)',
        WarehouseUnreachable,
        "Allow access to extensions.duckdb.org and api.motherduck.com",
    ),
    (
        duckdb.InvalidInputException,
        'Invalid Input Error: Initialization function "motherduck_duckdb_cpp_init" threw an exception: "Failed to '
        'download "http://api.motherduck.com/extension_version" (attempt 5): Could not establish connection"',
        WarehouseUnreachable,
        "MotherDuck cannot be reached",
    ),
    (
        duckdb.Error,
        "Invalid Error: Request failed: Your request is not authenticated. Please check your MotherDuck token. (Jwt is "
        "not in the form of Header.Payload.Signature with two dots and 3 sections, request id: '8194')",
        WarehouseForbidden,
        "did not accept the token for md:books",
    ),
    (
        duckdb.CatalogException,
        "Catalog Error: no database/share named 'books' found",
        WarehouseNotSet,
        "Create it in MotherDuck",
    ),
    (
        duckdb.InvalidInputException,
        'Invalid Input Error: Cannot execute statement of type "CREATE" on database "books" which is attached in '
        "read-only mode!",
        WarehouseForbidden,
        "Use a read/write token",
    ),
    (
        duckdb.TransactionException,
        "TransactionContext Error: Conflict on update!",
        ConcurrentChange,
        "Another program changed the same tables",
    ),
]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Warehouse]:
    with cloud_on_file(tmp_path / "books.duckdb"):
        yield Warehouse(destination="motherduck", lock_timeout_seconds=0)


class TestCredentials:
    @pytest.mark.parametrize("address", [f"md:books?motherduck_token={TOKEN}", f"md:///books?token={TOKEN}"])
    def test_the_token_is_in_no_location(self, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
        monkeypatch.setenv(CREDENTIALS, address)
        assert Warehouse(destination="motherduck").location == "md:books"
        assert Warehouse(destination="motherduck").database.file is None

    def test_the_token_may_come_from_motherducks_own_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(f"{CREDENTIALS}__DATABASE", "books")
        monkeypatch.setenv("motherduck_token", TOKEN)
        assert Warehouse(destination="motherduck").location == "md:books"

    @pytest.mark.parametrize("address", [None, "md:books"])
    def test_without_a_token_no_browser_is_waited_for(
        self, monkeypatch: pytest.MonkeyPatch, address: str | None
    ) -> None:
        if address:
            monkeypatch.setenv(CREDENTIALS, address)
        with pytest.raises(WarehouseNotSet, match=f"no token is set. Set {CREDENTIALS}="):
            Warehouse(destination="motherduck").query("SELECT 1")

    def test_what_cannot_be_read_is_not_quoted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(CREDENTIALS, f"postgresql://{TOKEN}@[books")
        with pytest.raises(WarehouseNotSet) as raised:
            Warehouse(destination="motherduck").query("SELECT 1")
        assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(("kind", "said", "expected", "advice"), SAID)
def test_an_error_says_what_to_do_and_no_token(
    kind: type[duckdb.Error], said: str, expected: type[WarehouseError], advice: str
) -> None:
    database = CloudFile(Path("books.duckdb")).database
    error = DatabaseTerminalException(kind(f"{said} (md:books?motherduck_token={TOKEN})"))
    found = database.classify_error(error)
    assert type(found) is expected
    assert advice in str(found)
    assert TOKEN not in str(found)


def test_an_error_of_a_statement_is_none_of_the_services() -> None:
    database = CloudFile(Path("books.duckdb")).database
    for error in (duckdb.ConversionException("Could not convert string 'network' to DECIMAL"), ValueError("token")):
        assert database.classify_error(error) is None


def test_nothing_is_sent_to_refersion_without_a_journal_elsewhere(cloud: Warehouse) -> None:
    with pytest.raises(KeysNotEnforced, match="md:books does not enforce primary keys"):
        cloud.check_keys_enforced()


@pytest.mark.exhaustive
def test_with_a_journal_elsewhere_each_item_is_sent_once(
    cloud: Warehouse, sandbox: SandboxServer, tmp_path: Path
) -> None:
    check_writing(cloud.destination, sandbox, tmp_path)


@pytest.mark.exhaustive
def test_a_load_twice_is_a_load_once(cloud: Warehouse, sandbox: SandboxServer) -> None:
    counts = []
    for _ in range(2):
        done = materialise(account_of(sandbox), cloud, "refersion/conversions", "refersion/payments")
        assert done.success, done.failure
        counts.append(cloud.row_counts(["conversions", "payments"]))
    assert counts[0] == counts[1]
    assert counts[0]["conversions"] > 100
    keys = "SELECT count(*), count(DISTINCT id) FROM refersion_data.conversions"
    assert len(set(cloud.query(keys)[0])) == 1


def test_tables_of_other_databases_are_not_its_own(cloud: Warehouse, tmp_path: Path) -> None:
    with cloud.session() as session:
        session.create_schema("made")
        session.native(f"ATTACH '{tmp_path / 'other.duckdb'}' AS other")
        session.native("CREATE SCHEMA other.made")
        session.native("CREATE TABLE other.made.numbers (theirs INTEGER)")
        assert session.tables("made") == []
        session.native("CREATE TABLE made.numbers (ours DECIMAL(18, 4))")
        assert session.columns("made", "numbers") == [("ours", "decimal(18,4)")]
        session.native("DETACH other")


class TestOneWriter:
    def test_a_second_run_waits_and_says_for_whom(self, cloud: Warehouse) -> None:
        with cloud.write_lock(pytest.fail):
            with cloud.session(read_only=True) as session:
                access = cloud.database.write_access(session)
            other = Warehouse(destination="motherduck").database
            busy = pytest.raises(WarehouseBusy, match=r"Another run \(process \d+ on .+ still writes to md:books")
            with busy, other.write_lock(0, print):
                pytest.fail("two writers at once")
        assert access.is_granted
        assert access.writer.startswith("process ")
        with cloud.write_lock(pytest.fail), cloud.session() as session:
            assert [held for *_, held in session.query(LOOK)] == [True]

    def test_a_run_whose_right_was_taken_over_writes_nothing_more(self, cloud: Warehouse) -> None:
        def write() -> None:
            with cloud.write_lock(pytest.fail):
                with cloud.session() as session:
                    session.native("UPDATE refersion_data.writer_lease SET token = 'of another run'")
                database = cloud.database
                assert isinstance(database, MotherDuckDatabase)
                # As if it had not been able to extend the lease for a while.
                database._held[database.location]._confirmed_at = 0.0
                with cloud.session():
                    pytest.fail("it wrote")

        with pytest.raises(LeaseLost, match="lost the right to write to md:books"):
            write()

    @pytest.mark.processes
    def test_a_run_that_was_killed_is_followed_once_its_time_is_over(self, cloud: Warehouse, tmp_path: Path) -> None:
        started = multiprocessing.get_context("spawn").Process(target=killed_while_writing, args=(tmp_path,))
        started.start()
        started.join(60)
        assert started.exitcode == -9
        with pytest.raises(WarehouseBusy, match="within 120 s"), cloud.write_lock(lambda _: None):
            pytest.fail("two writers at once")
        with cloud.session() as session:
            session.native("UPDATE refersion_data.writer_lease SET valid_until = CURRENT_TIMESTAMP")
        with cloud.write_lock(pytest.fail):
            pass


def killed_while_writing(folder: Path) -> None:
    import os
    import signal

    with CloudFile(folder / "books.duckdb").database.write_lock(0, print):
        os.kill(os.getpid(), signal.SIGKILL)

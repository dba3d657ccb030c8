"""The warehouse: locked by real processes, in read-only places, with missing tables and wrong rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.doctor.doctor_fixture import FAILED, SKIPPED, WARNING, DoctorFixture
from refersion_dagster_tests.location import SMALL, account_of, materialise
from refersion_dagster_tests.postgres import CREDENTIALS, PostgresDatabase
from refersion_dagster_tests.warehouse.newer_file import OF_DUCKDB_2

WRITER = "held = duckdb.connect(sys.argv[1])"
READER = "held = duckdb.connect(sys.argv[1], read_only=True)"
RUN = "held = filelock.FileLock(sys.argv[1] + '.lock').acquire()"
HOLD = "import sys, duckdb, filelock; {}; print(flush=True); sys.stdin.read()"


@contextmanager
def other_process(script: str, database: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the warehouse."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(script), str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "\n"
        yield process
        process.communicate(timeout=30)


class TestDuckDB:
    @pytest.mark.processes
    @pytest.mark.parametrize(("script", "readable"), [(WRITER, False), (READER, True)], ids=["writer", "reader"])
    def test_a_program_that_has_the_file_open_is_named(
        self, loaded: DoctorFixture, script: str, readable: bool
    ) -> None:
        with other_process(script, loaded.database) as process:
            examined = loaded.examined()
        without = {} if readable else dict.fromkeys(("tables", "account", "totals"), SKIPPED)
        assert examined.not_well() == {"warehouse_lock": FAILED, **without}
        lock = examined["warehouse_lock"]
        assert f"is open in another program: process {process.pid} (python" in lock.message
        assert lock.details["held_by"]["pid"] == process.pid
        assert "Close it there" in (lock.remedy or "")

    def test_a_run_that_is_writing_is_named_and_no_cross(self, loaded: DoctorFixture) -> None:
        with other_process(RUN, loaded.database) as process:
            examined = loaded.examined()
        assert examined.not_well() == {"warehouse_lock": WARNING}
        assert f"a run is writing now: process {process.pid} (python" in examined["warehouse_lock"].message
        assert examined.ok

    @pytest.mark.skipif(sys.platform != "linux", reason="/proc, where nobody can write, is Linux's")
    def test_a_folder_that_cannot_be_written_to_is_told(self, patient: DoctorFixture) -> None:
        patient.set(REFERSION_DUCKDB_PATH="/proc/refersion.duckdb")
        examined = patient.examined()
        assert examined.not_well(but=("disk_space",)) == {"warehouse_writable": FAILED}
        assert "/proc" in examined["warehouse_writable"].message
        assert "REFERSION_DUCKDB_PATH" in (examined["warehouse_writable"].remedy or "")

    def test_a_folder_that_is_a_file_is_told(self, patient: DoctorFixture) -> None:
        (patient.folder / "notes").write_text("mine")
        patient.set(REFERSION_DUCKDB_PATH=str(patient.folder / "notes" / "refersion.duckdb"))
        examined = patient.examined()
        assert examined.not_well(but=("disk_space",)) == {"warehouse_writable": FAILED}

    def test_a_file_that_is_no_database_is_told(self, loaded: DoctorFixture) -> None:
        loaded.database.write_text("not a database, but long enough to be looked at " * 100)
        examined = loaded.examined()
        assert examined["warehouse"].status is FAILED
        assert "not a valid DuckDB database file" in examined["warehouse"].message
        assert not examined.ok

    def test_a_file_of_a_newer_duckdb_is_told_with_how_to_convert_it(self, loaded: DoctorFixture) -> None:
        loaded.database.write_bytes(OF_DUCKDB_2)
        examined = loaded.examined()
        assert examined["warehouse"].status is FAILED
        assert "was written by a newer DuckDB" in examined["warehouse"].message
        assert "docs/warehouses.md" in (examined["warehouse"].remedy or "")

    def test_a_folder_in_the_place_of_the_file_is_told(self, loaded: DoctorFixture) -> None:
        loaded.database.unlink()
        loaded.database.mkdir()
        assert loaded.examined()["warehouse"].status is FAILED

    def test_tables_that_are_gone_are_named(self, loaded: DoctorFixture) -> None:
        with duckdb.connect(str(loaded.database)) as connection:
            connection.execute("DROP TABLE refersion_data.payments")
            connection.execute("DROP TABLE refersion_data.offers")
        examined = loaded.examined()
        assert examined.not_well() == {"tables": WARNING}
        assert examined["tables"].message == "payments, offers do not exist"
        assert "refersion_refresh" in (examined["tables"].remedy or "")
        assert examined.ok

    def test_a_table_of_conversions_that_is_gone_leaves_nothing_to_compare(self, loaded: DoctorFixture) -> None:
        with duckdb.connect(str(loaded.database)) as connection:
            connection.execute("DROP TABLE refersion_data.conversions")
        assert loaded.examined().not_well() == {"tables": WARNING}

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM refersion_data.conversions WHERE id IN (SELECT min(id) FROM refersion_data.conversions "
            "WHERE currency = 'USD' AND NOT is_test_conversion)",
            "UPDATE refersion_data.conversions SET commission_total = commission_total + 0.01 WHERE id IN (SELECT "
            "min(id) FROM refersion_data.conversions WHERE currency = 'USD' AND NOT is_test_conversion)",
        ],
        ids=["a row less", "a cent more"],
    )
    def test_totals_that_differ_are_told_with_both_figures(self, loaded: DoctorFixture, statement: str) -> None:
        with duckdb.connect(str(loaded.database)) as connection:
            connection.execute(statement)
        examined = loaded.examined()
        assert examined.not_well() == {"totals": WARNING}
        details = examined["totals"].details
        nearest = details["loaded"]["in its own currency, without tests"]
        assert nearest != details["refersion"]
        assert f"Refersion has {details['refersion']['count']:,} conversions" in examined["totals"].message
        assert "refersion_reconcile" in (examined["totals"].remedy or "")

    @pytest.mark.parametrize("counted", ["left_out", "counted"])
    def test_totals_are_compared_in_whatever_way_refersion_counts(self, loaded: DoctorFixture, counted: str) -> None:
        loaded.sandbox.configure(totals_currencies=counted, totals_test_conversions=counted)
        examined = loaded.examined()
        assert examined.not_well() == {}
        expected = {"left_out": "in its own currency, without tests", "counted": "in all currencies, with tests"}
        assert examined["totals"].details["reading"] == expected[counted]

    def test_totals_are_not_compared_without_a_key(self, loaded: DoctorFixture) -> None:
        loaded.set(REFERSION_SECRET_KEY="sec_of_somebody_else")
        assert loaded.examined()["totals"].status is SKIPPED

    def test_rows_of_another_account_are_a_cross_in_the_words_of_a_run(self, loaded: DoctorFixture) -> None:
        with SandboxServer(replace(SMALL, seed=8)) as other:
            loaded.set(**other.environment())
            examined = loaded.examined()
            refused = materialise(account_of(other), Warehouse(duckdb_path=str(loaded.database)), "refersion/offers")
        assert examined["account"].status is FAILED
        assert examined["account"].message.startswith("The warehouse contains rows of another Refersion account")
        assert f"{examined['account'].message} {examined['account'].remedy}" == refused.failure
        assert not examined.ok

    def test_what_arrived_since_the_last_run_makes_no_difference(self, loaded: DoctorFixture) -> None:
        loaded.sandbox.advance(days=3)
        assert loaded.examined().not_well() == {}


class TestPostgres:
    @pytest.fixture
    def postgres_patient(self, patient: DoctorFixture, postgres: PostgresDatabase) -> DoctorFixture:
        patient.set(**postgres.environment)
        return patient

    def test_an_empty_one_is_well(self, postgres_patient: DoctorFixture, postgres: PostgresDatabase) -> None:
        examined = postgres_patient.examined()
        assert examined.not_well() == {}
        assert examined["warehouse"].message.endswith(f"/{postgres.name}")
        assert "@" not in examined["warehouse"].message

    def test_one_that_cannot_be_reached_is_told(self, postgres_patient: DoctorFixture) -> None:
        postgres_patient.set(**{CREDENTIALS: "postgresql://loader:S3cretWord@127.0.0.1:9/nowhere"})
        examined = postgres_patient.examined()
        assert examined["warehouse"].status is FAILED
        assert "PostgreSQL" in examined["warehouse"].message
        assert "S3cretWord" not in str(examined.findings)
        assert not examined.ok

    def test_a_user_who_may_make_no_schema_is_told(
        self, postgres_patient: DoctorFixture, postgres: PostgresDatabase
    ) -> None:
        postgres.query(f"ALTER DATABASE {postgres.name} OWNER TO postgres", user="postgres")
        examined = postgres_patient.examined()
        assert examined.not_well() == {"warehouse_writable": FAILED}
        assert "GRANT CREATE" in (examined["warehouse_writable"].remedy or "")

    def test_a_run_that_is_writing_is_named(self, postgres_patient: DoctorFixture) -> None:
        with Warehouse(destination="postgres").write_lock(print):
            examined = postgres_patient.examined()
        assert examined.not_well() == {"warehouse_lock": WARNING}
        assert "process " in examined["warehouse_lock"].message

    def test_a_database_that_nobody_knows_is_told(self, patient: DoctorFixture) -> None:
        patient.set(REFERSION_DESTINATION="oracle")
        examined = patient.examined()
        said = (
            "REFERSION_DESTINATION is 'oracle'; it has to be duckdb, postgres, ducklake, motherduck, bigquery, "
            "databricks, snowflake or redshift."
        )
        assert examined["warehouse"].message == said
        assert not examined.ok

"""The commands of docs/operations.md do what the page says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from refersion_dagster.actions.journal.sqlite_store import SQLiteStore
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import REPOSITORY, SMALL, account_of, counts, materialise, query
from refersion_dagster_tests.summaries.builders import WarehouseBuilder

PAGE = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
PERSONAL = (
    "SELECT DISTINCT customer__name, customer__email, customer__browser_ip, click__ip FROM refersion_data.conversions"
)
FIGURES = """
SELECT currency, count(*), sum(total), sum(commission) FROM refersion_summaries.conversions GROUP BY currency
UNION ALL
SELECT currency, count(*), sum(due), sum(pending) FROM refersion_summaries.commission_liability GROUP BY currency
ORDER BY ALL
"""

pytestmark = pytest.mark.exhaustive


def block(start: str) -> str:
    """The code block that begins with this text."""
    (found,) = re.findall(rf"^```\w*\n({re.escape(start)}.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


def tables(database: Path) -> dict[str, list[str]]:
    """The rows of every table of our schemas, as sorted text."""
    names = query(
        database, "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE schema_name LIKE 'refersion%'"
    )
    return {name: sorted(map(str, query(database, f"SELECT * FROM {name}"))) for (name,) in names}


def back_up(folder: Path, module: str = "duckdb") -> None:
    command = block(f'python -c "import {module}').replace("python -c", f"{sys.executable} -c", 1)
    subprocess.run(["bash", "-c", command], cwd=folder, check=True, capture_output=True, timeout=120)


def test_a_backup_has_every_row_and_a_load_continues_from_it(everything_built: Path, tmp_path: Path) -> None:
    shutil.copy(everything_built, tmp_path / "refersion.duckdb")
    back_up(tmp_path)
    copy = tmp_path / "backup.duckdb"
    expected = tables(everything_built)
    assert len(expected) > 40
    assert tables(copy) == expected
    undisturbed = tmp_path / "refersion.duckdb"
    with SandboxServer(SMALL) as sandbox:
        sandbox.advance(days=3)
        for database in (copy, undisturbed):
            done = materialise(account_of(sandbox), Warehouse(duckdb_path=str(database)), "refersion/conversions")
            assert done.success, done.failure
    found = counts(copy)
    assert found == counts(undisturbed)
    assert found["conversions"] > len(expected["refersion_data.conversions"])


def test_a_backup_fails_while_a_run_writes(everything_built: Path, tmp_path: Path) -> None:
    shutil.copy(everything_built, tmp_path / "refersion.duckdb")
    with duckdb.connect(str(tmp_path / "refersion.duckdb")), pytest.raises(subprocess.CalledProcessError) as failed:
        back_up(tmp_path)
    assert b"Could not set lock" in failed.value.stderr


def test_a_backup_of_the_journal_is_made_while_a_run_writes_and_has_what_was_committed(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "journal.sqlite")
    with store.session() as session:
        session.create_schema(DATASET)
        session.query(f"CREATE TABLE {DATASET}.entries (name text)")
        session.query(f"INSERT INTO {DATASET}.entries VALUES ('sent')")
        with session.transaction():
            session.query(f"INSERT INTO {DATASET}.entries VALUES ('not committed')")
            back_up(tmp_path, "sqlite3")
    with SQLiteStore(tmp_path / "journal-backup.sqlite").session() as copy:
        assert copy.query(f"SELECT name FROM {DATASET}.entries") == [("sent",)]


def test_erasing_a_customer_changes_no_figure(everything_built: Path, tmp_path: Path) -> None:
    database = Path(shutil.copy(everything_built, tmp_path / "refersion.duckdb"))
    ((order, hashed),) = query(
        database,
        "SELECT min(order_id), customer__email FROM refersion_data.conversions WHERE customer__email IS NOT NULL "
        "GROUP BY customer__email HAVING count(*) = 1 ORDER BY 1 LIMIT 1",
    )
    before = query(database, FIGURES)
    query(database, block("UPDATE refersion_data.conversions").replace("'1001', '1002'", f"'{order}'"))
    assert query(database, f"{PERSONAL} WHERE order_id = '{order}'") == [(None, None, None, None)]
    WarehouseBuilder(database).build("commission_liability")
    assert query(database, FIGURES) == before
    back_up(tmp_path)
    assert hashed.encode() not in (tmp_path / "backup.duckdb").read_bytes()

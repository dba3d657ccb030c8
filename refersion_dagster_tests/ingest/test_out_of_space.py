"""A full disk or too little memory: a clear error, and unchanged tables.

A limit on the size of files (RLIMIT_FSIZE) simulates the disk: writes fail in the same way as on a full disk.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import COMMANDS, NOW, Location, Outcome, account_of, materialise, query

pytestmark = pytest.mark.processes

MUCH = SandboxSettings(affiliates=12, orders=3_000, days=100, now=NOW)
# The same account at a time when it had few orders.
LITTLE = replace(MUCH, orders=60, **MUCH.keys._asdict())
# The longest that any file may become, relative to the database: the log of a load's transaction does not fit into the
# first, that of its history not into the second.
ROOM = {"load": -600_000, "history": 200_000}
CONVERSIONS = "refersion/conversions"
HISTORY = """
SELECT count(DISTINCT c.id), count(DISTINCT h.id)
FROM refersion_data.conversions AS c
LEFT JOIN refersion_data.conversion_history AS h ON h.id = c.id
"""
# By default, dlt tries a failed load five times, a second apart.
TRY_ONCE = {"LOAD__RAISE_ON_MAX_RETRIES": "1"}


@pytest.fixture(scope="module")
def much() -> Iterator[SandboxServer]:
    with SandboxServer(MUCH) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with a few rows, which tests copy."""
    database = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    with SandboxServer(LITTLE) as sandbox:
        assert load(sandbox, database).success
    return database


@pytest.fixture
def database(loaded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(loaded, tmp_path))


def load(sandbox: SandboxServer, database: Path, memory: str = "100MB") -> Outcome:
    return materialise(account_of(sandbox), Warehouse(duckdb_path=str(database), duckdb_memory=memory), CONVERSIONS)


def rows(database: Path) -> tuple[Any, ...]:
    (found,) = query(database, "SELECT count(*), sum(total), max(read_at) FROM refersion_data.conversions")
    return found


@pytest.mark.parametrize("failing", ROOM)
def test_a_full_disk_is_named_and_no_table_is_partly_written(
    much: SandboxServer, database: Path, tmp_path: Path, failing: str
) -> None:
    before = rows(database)
    location = Location.of(tmp_path, much).with_settings(**TRY_ONCE, REFERSION_PII_SALT="salt")
    size = database.stat().st_size + ROOM[failing]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    ended = subprocess.run(
        [
            str(COMMANDS / "dagster"),
            "asset",
            "materialize",
            "-m",
            "refersion_dagster.definitions",
            "--select",
            CONVERSIONS,
        ],
        cwd=location.folder,
        env=location.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
    )
    assert ended.returncode != 0
    assert "no space left" in ended.stdout
    assert "Free disk space" in ended.stdout
    assert (rows(database) == before) == (failing == "load")
    again = load(much, database)
    assert again.success, again.failure
    assert rows(database)[0] > before[0]
    ((conversions, recorded),) = query(database, HISTORY)
    assert recorded == conversions


def test_too_little_memory_is_named_with_the_setting_that_gives_more(
    much: SandboxServer, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(database)
    for name, value in TRY_ONCE.items():
        monkeypatch.setenv(name, value)
    failed = load(much, database, memory="16MB")
    assert not failed.success
    assert "REFERSION_DUCKDB_MEMORY" in failed.failure
    assert rows(database) == before
    assert load(much, database).success

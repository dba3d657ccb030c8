"""A disk that is full, or too little memory: a clear error, and the tables as they were.

The disk is played by a limit on the size of files (RLIMIT_FSIZE), which writes meet as they meet a full disk.
"""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import COMMANDS, NOW, Location

LITTLE = SandboxSettings(affiliates=12, orders=60, days=100, now=NOW)
MUCH = SandboxSettings(affiliates=12, orders=8_000, days=100, now=NOW)
SPARE = 200_000
CONVERSIONS = "refersion/conversions"


def refresh_with_little_space(location: Location, bytes_at_most: int) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_at_most, bytes_at_most))

    return subprocess.run(
        [
            str(COMMANDS / "dagster"),
            *["asset", "materialize", "-m", "refersion_dagster.definitions", "--select"],
            CONVERSIONS,
        ],
        cwd=location.folder,
        env=location.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,
    )


def test_a_full_disk_is_named_and_the_tables_stay_as_they_were(tmp_path: Path) -> None:
    with SandboxServer(LITTLE) as sandbox:
        location = Location.of(tmp_path, sandbox)
        assert location.materialise(CONVERSIONS).code == 0
    before = location.query("SELECT count(*), sum(total), max(read_at) FROM refersion_data.conversions")
    largest = max(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    with SandboxServer(MUCH) as sandbox:
        crowded = Location.of(tmp_path, sandbox)
        ended = refresh_with_little_space(crowded, largest + SPARE)
        assert ended.returncode != 0
        assert "no space left" in ended.stdout
        assert "free some" in ended.stdout
        assert location.query("SELECT count(*), sum(total), max(read_at) FROM refersion_data.conversions") == before
        again = crowded.materialise(CONVERSIONS)
        assert again.code == 0, again.output
    assert location.query("SELECT count(*) FROM refersion_data.conversions")[0][0] > before[0][0]


def test_too_little_memory_is_named_with_the_setting_that_gives_more(tmp_path: Path) -> None:
    with SandboxServer(LITTLE) as sandbox:
        location = Location.of(tmp_path, sandbox)
        assert location.materialise(CONVERSIONS).code == 0
    before = location.query("SELECT count(*), sum(total), max(read_at) FROM refersion_data.conversions")
    with SandboxServer(MUCH) as sandbox:
        crowded = Location.of(tmp_path, sandbox)
        ended = crowded.with_settings(REFERSION_DUCKDB_MEMORY="8MB").materialise(CONVERSIONS)
        assert ended.code != 0
        assert "REFERSION_DUCKDB_MEMORY" in ended.output
        assert location.query("SELECT count(*), sum(total), max(read_at) FROM refersion_data.conversions") == before
        assert crowded.materialise(CONVERSIONS).code == 0

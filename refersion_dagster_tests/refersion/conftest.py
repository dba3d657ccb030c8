import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.refersion.plain_dlt import SMALL, Warehouse

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's configuration is read, and nothing is written outside of the test's own folder."""
    for name in [name for name in os.environ if name.startswith(("REFERSION_", "SOURCES__"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A sandbox of one test, which may change it."""
    with SandboxServer(SMALL) as running:
        yield running


@pytest.fixture(scope="session")
def account() -> Iterator[SandboxServer]:
    """A sandbox that all tests share and must not change."""
    with SandboxServer(SMALL) as running:
        yield running


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)

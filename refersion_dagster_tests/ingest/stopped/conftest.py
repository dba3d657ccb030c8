from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.stopped.resuming import ACCOUNT, MONTHLY
from refersion_dagster_tests.location import Location


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(ACCOUNT) as server:
        yield server


@pytest.fixture
def location(sandbox: SandboxServer, tmp_path: Path) -> Location:
    return Location.of(tmp_path, sandbox).with_settings(**MONTHLY)

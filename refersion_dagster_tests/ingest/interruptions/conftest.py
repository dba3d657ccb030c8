from collections.abc import Iterator

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.ingest.interruptions.interrupted_load import ACCOUNT


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(ACCOUNT) as server:
        yield server

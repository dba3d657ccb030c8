from collections.abc import Iterator

import pytest

from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.sandbox.client import Client

SMALL = SandboxSettings(affiliates=40, orders=400)


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A sandbox for one test, which may change it."""
    with SandboxServer(SMALL) as running:
        yield running


@pytest.fixture
def client(sandbox: SandboxServer) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.close()


@pytest.fixture(scope="module")
def reader() -> Iterator[Client]:
    """A client of a sandbox that is shared by the tests of a module, which must not change it."""
    with SandboxServer(SMALL) as running:
        client = Client(running)
        yield client
        client.close()

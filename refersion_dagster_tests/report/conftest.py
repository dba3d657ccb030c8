from collections.abc import Callable, Iterator
from itertools import count

import pytest

from refersion_dagster_tests.report.bucket_servers import SERVERS, BucketAddress, BucketServer

NUMBERS = count(1)


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[Callable[[str], BucketServer]]:
    """Starts the server of a kind of storage when a test first needs it."""
    running: dict[str, BucketServer] = {}

    def of(kind: str) -> BucketServer:
        if kind not in running:
            running[kind] = SERVERS[kind]()
        return running[kind]

    yield of
    for server in running.values():
        server.stop()


@pytest.fixture(params=[*SERVERS])
def bucket(
    request: pytest.FixtureRequest, bucket_server: Callable[[str], BucketServer], monkeypatch: pytest.MonkeyPatch
) -> BucketAddress:
    """An empty folder for this test in each kind of storage, with its credentials in the environment."""
    address = bucket_server(request.param).folder(f"test_{next(NUMBERS)}")
    for name, value in address.environment.items():
        monkeypatch.setenv(name, value)
    return address

from collections.abc import Iterator

import pytest

from refersion_dagster_tests.webhooks.receiver import SECONDS, Receiver, receiving


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One receiver for the tests of a module. Each test checks only its own changes."""
    with receiving(tmp_path_factory.mktemp("receiver") / "inbox.sqlite", "--receive-seconds", str(SECONDS)) as running:
        yield running

"""Keys are in no file and in no output of a run, whatever it comes to and however much is logged."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import SMALL, TABLES, Ended, Location

pytestmark = pytest.mark.processes

# Everything that any library logs goes into the run's log, which Dagster keeps.
LOG_EVERYTHING = """
telemetry:
  enabled: false
python_logs:
  managed_python_loggers: [root, refersion_dagster, dlt, urllib3, requests]
  python_log_level: DEBUG
"""


def talkative(folder: Path, sandbox: SandboxServer) -> Location:
    location = Location.of(folder, sandbox).with_settings(RUNTIME__LOG_LEVEL="DEBUG", REFERSION_RETRY_SECONDS="1")
    (folder / "dagster" / "dagster.yaml").write_text(LOG_EVERYTHING)
    return location


def keys_found(location: Location, ended: Ended, sandbox: SandboxServer) -> list[str]:
    """Where any of the account's three keys is to be read."""
    keys = (sandbox.public_key, sandbox.secret_key, sandbox.graphql_token)
    return ["the output" for key in keys if key in ended.output] + files_with(location.folder, *keys)


def files_with(folder: Path, *texts: str) -> list[str]:
    """Files below the folder that hold any of the texts."""
    files = [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    return [str(path) for path, content in files if any(text.encode() in content for text in texts)]


CUSTOMER = {"name": "Somebody Telling", "email": "somebody.telling@example.com", "browser_ip": "198.51.100.77"}


@dataclass(frozen=True)
class Refreshed:
    """A run that succeeded, with a conversion of CUSTOMER among what it read."""

    sandbox: SandboxServer
    location: Location
    ended: Ended
    row: int


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refreshed]:
    with SandboxServer(SMALL) as sandbox:
        row = sandbox.insert_conversion(customer=CUSTOMER)
        location = talkative(tmp_path_factory.mktemp("refreshed"), sandbox)
        yield Refreshed(sandbox, location, location.materialise(*(f"refersion/{table}" for table in TABLES)), row)


def test_after_a_run_that_succeeds(refreshed: Refreshed) -> None:
    assert refreshed.ended.code == 0, refreshed.ended.output
    # The log is as talkative as it was meant to be.
    assert "POST /graphql" in refreshed.ended.output
    assert keys_found(refreshed.location, refreshed.ended, refreshed.sandbox) == []


def test_customers_e_mails_are_in_no_file_either(refreshed: Refreshed) -> None:
    """They are hashed before anything is written, dlt's own files included."""
    location = refreshed.location
    ((hashed,),) = location.query(
        f"SELECT customer__email FROM refersion_data.conversions WHERE id = '{refreshed.row}'"
    )
    assert len(hashed) == 64
    assert files_with(location.folder, *CUSTOMER.values()) == []
    assert not [one for one in CUSTOMER.values() if one in refreshed.ended.output]


def test_after_a_run_that_fails_with_a_server_that_repeats_what_it_was_sent(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    said = f"no such key: {sandbox.public_key} {sandbox.secret_key} {sandbox.graphql_token}"
    for route in ("rest", "graphql:conversions"):
        sandbox.fault(route, "status", times=None, status=401, message=said)
    sandbox.fault("graphql:offers", "graphql-error", times=None, message=said)
    sandbox.fault("graphql:payments", "500", times=None, message=said)
    location = talkative(tmp_path, sandbox)
    ended = location.refresh()
    assert ended.code != 0
    assert "no such key: [key] [key] [key]" in ended.output
    assert keys_found(location, ended, sandbox) == []


def test_after_a_run_with_keys_in_each_others_places(sandbox: SandboxServer, tmp_path: Path) -> None:
    location = talkative(tmp_path, sandbox).with_settings(
        REFERSION_PUBLIC_KEY=sandbox.secret_key,
        REFERSION_SECRET_KEY=sandbox.public_key,
        REFERSION_GRAPHQL_TOKEN=sandbox.secret_key,
    )
    ended = location.refresh()
    assert ended.code != 0
    assert keys_found(location, ended, sandbox) == []

"""Keys appear in nothing that a run leaves behind: log records of any level, errors, dlt's folders, the DuckDB file."""

import logging
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import InvalidSetting
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.refersion.plain_dlt import NOW, SMALL, Warehouse, arguments

PUBLIC, SECRET, TOKEN, SALT = (
    "pub_5ecre7aaaaaaaaaa",
    "sec_5ecre7bbbbbbbbbb",
    "gql_5ecre7cccccccccc",
    "salt_5ecre7dddddd",
)
KEYS = (PUBLIC, SECRET, TOKEN, SALT)
ECHO = f"I do not know {PUBLIC}.{SECRET} nor {TOKEN}"

# Causes of a failing run: (fault, switches of the sandbox, changes of the source's arguments).
FAILURES: dict[str, tuple[dict[str, Any] | None, dict[str, Any], dict[str, Any]]] = {
    "wrong keys": (None, {}, {"api_key": SECRET + "x", "graphql_token": TOKEN + "x"}),
    "wrong keys, told in a 200": (None, {"bad_token_status": 200}, {"graphql_token": TOKEN + "x"}),
    "401 that repeats the keys": ({"kind": "status", "status": 401, "body": {"error": ECHO}}, {}, {}),
    "403 that repeats the keys": ({"kind": "status", "status": 403, "body": {"message": ECHO}}, {}, {}),
    "422 that repeats the keys": (
        {"kind": "status", "status": 422, "body": {"errors": [ECHO, {"message": ECHO}]}},
        {},
        {},
    ),
    "429 that repeats the keys": ({"kind": "status", "status": 429, "body": {"message": ECHO}}, {}, {}),
    "500 that repeats the keys": ({"kind": "500", "message": ECHO}, {}, {}),
    "418 that repeats the keys": ({"kind": "status", "status": 418, "body": ECHO}, {}, {}),
    "GraphQL error that repeats the keys": ({"kind": "graphql-error", "message": f"Validation failed: {ECHO}"}, {}, {}),
    "a long page that repeats the keys": (
        {"kind": "status", "status": 500, "body": {"message": "x" * (300 - len(ECHO) + 4) + ECHO}},
        {},
        {},
    ),
    "JSON that is none and repeats the keys": ({"kind": "status", "status": 200, "body": f"{ECHO}"}, {}, {}),
    "keys with a line break": (None, {}, {"api_key": f"{SECRET}\nx", "graphql_token": f"{TOKEN}\nx"}),
    "keys with a letter that is none": (None, {}, {"api_key": f"{SECRET}\u200b", "graphql_token": f"{TOKEN}…"}),
    "an answer that is no data but the keys": ({"kind": "status", "status": 200, "body": {"message": ECHO}}, {}, {}),
    "reset": ({"kind": "reset"}, {}, {}),
    "half of the JSON": ({"kind": "truncated-json"}, {}, {}),
    "no such field": (None, {"remove_fields": ["Conversion.currency"]}, {}),
    "an address that is none": (None, {}, {"rest_url": "http://[::1", "graphql_url": "http://[::1"}),
    "nobody there": (None, {}, {"rest_url": "http://127.0.0.1:9", "graphql_url": "http://127.0.0.1:9"}),
}


@dataclass
class Left:
    """Everything that a run left behind, as text or bytes."""

    logged: list[str]
    raised: list[str]
    folder: Path

    def holding(self, key: str) -> list[str]:
        """The places that contain a key."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [
            *(f"log: {line}" for line in self.logged if key[:-1] in line),
            *(f"error: {text}" for text in self.raised if key[:-1] in text),
            *(f"file: {path}" for path in files if key[:-1].encode() in path.read_bytes()),
        ]


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    keys = replace(SMALL, public_key=PUBLIC, secret_key=SECRET, graphql_token=TOKEN)
    with SandboxServer(keys) as running:
        yield running


def leave(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, tables: tuple[str, ...], report: ReadReport, given: Any
) -> Left:
    """Runs the source and collects what is left. The run may fail."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "dlt")
    pipeline = warehouse.pipeline()
    raised: list[str] = []
    try:
        source = refersion_source(**given, report=report).with_resources(*tables)
        info = pipeline.run(source, loader_file_format="parquet")
        raised += [str(info), repr(info), str(source), repr(source)]
    except (PipelineStepFailed, InvalidSetting) as failure:
        error: BaseException | None = failure
        while error is not None:
            raised += [str(error), repr(error), str(vars(error)), str(error.args)]
            raised += traceback.format_exception(error)
            error = error.__cause__ or error.__context__
    finally:
        pipeline.deactivate()
    raised += [repr(report), str(pipeline.last_trace), repr(pipeline.last_trace)]
    logged = [record.getMessage() + repr(vars(record)) + (record.exc_text or "") for record in caplog.records]
    return Left(logged, raised, warehouse.folder)


@pytest.mark.exhaustive
@pytest.mark.parametrize("in_environment", limit_cases([False, True]))
def test_a_run_that_succeeds_leaves_no_key(
    sandbox: SandboxServer,
    warehouse: Warehouse,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    in_environment: bool,
) -> None:
    given = arguments(sandbox, pii_salt=SALT)
    if in_environment:
        for name in ("public_key", "api_key", "graphql_token", "pii_salt"):
            monkeypatch.setenv(f"SOURCES__REFERSION_SOURCE__{name.upper()}", given.pop(name))
    sandbox.fault("*", "500", times=2)
    left = leave(warehouse, caplog, tuple(ENTITIES), ReadReport(), given)
    assert warehouse.count("conversions") == len(sandbox.account.conversions)
    assert any("urllib3" in line for line in left.logged)
    assert {key: left.holding(key) for key in KEYS} == {key: [] for key in KEYS}


@pytest.mark.parametrize("failure", limit_cases(FAILURES, 2))
@pytest.mark.parametrize("tables", [("affiliate_list", "affiliate_get"), ("conversions",)], ids=["rest", "graphql"])
def test_a_run_that_fails_leaves_no_key(
    sandbox: SandboxServer,
    warehouse: Warehouse,
    caplog: pytest.LogCaptureFixture,
    failure: str,
    tables: tuple[str, ...],
) -> None:
    fault, switches, changes = FAILURES[failure]
    if fault:
        sandbox.fault("*", **fault, times=None)
    sandbox.configure(**switches)
    given = arguments(sandbox, **{"pii_salt": SALT, "retry_seconds": 0, **changes})
    left = leave(warehouse, caplog, tables, ReadReport(), given)
    succeeds = "conversions" not in tables and failure in ("wrong keys, told in a 200", "no such field")
    assert any("PipelineStepFailed" in text or "InvalidSetting" in text for text in left.raised) != succeeds
    assert {key: left.holding(key) for key in KEYS} == {key: [] for key in KEYS}


def test_an_error_shows_the_servers_words_without_the_keys_in_them(
    sandbox: SandboxServer, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.fault("rest:/affiliate/list", "status", status=422, body={"errors": [ECHO]})
    left = leave(warehouse, caplog, ("affiliate_list",), ReadReport(), arguments(sandbox))
    assert any("I do not know [key].[key] nor [key]" in text for text in left.raised)


def test_a_broken_row_leaves_no_key(
    sandbox: SandboxServer, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.insert_conversion(total="12,x", created=int(NOW.timestamp()) - 60)
    left = leave(warehouse, caplog, ("conversions",), ReadReport(), arguments(sandbox, pii_salt=SALT))
    assert any("12,x" in text for text in left.raised)
    assert {key: left.holding(key) for key in KEYS} == {key: [] for key in KEYS}


def test_credentials_show_nothing() -> None:
    credentials = Credentials(PUBLIC, SECRET, TOKEN)
    shown = f"{credentials} {credentials!r} {credentials.rest()} {credentials.graphql()!r} {[credentials.rest()]}"
    assert not any(key in shown for key in KEYS)

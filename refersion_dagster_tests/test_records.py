"""Every name of Dagster's that records.py stands on and that Dagster does not document."""

import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

import refersion_dagster
from refersion_dagster.records import (
    CheckRecord,
    DaemonState,
    LoggedError,
    cancel_run,
    check_records,
    daemon_states,
    error_of,
    fail_run,
    find_last_log_time,
    location_name,
    location_names,
    new_log,
    open_records,
    run_log,
    seconds_to_retry,
)
from refersion_dagster_tests.location import fresh_instance

CHANGED = f"Dagster {dg.__version__} changed what refersion_dagster/records.py stands on; adjust it there."
METHODS = {
    "all_logs": ("run_id", "of_type"),
    "get_records_for_run": ("run_id", "cursor", "limit", "ascending"),
    "report_run_canceled": ("dagster_run", "message"),
    "report_run_failed": ("dagster_run", "message"),
    "get_daemon_statuses": (),
    "all_instigator_state": (),
    "get_ticks": ("origin_id", "selector_id", "after", "limit"),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_records_have_the_method_with_these_arguments(name: str) -> None:
    method = getattr(dg.DagsterInstance, name, None)
    assert method, f"DagsterInstance.{name} is gone. {CHANGED}"
    assert set(METHODS[name]) <= set(inspect.signature(method).parameters), f"DagsterInstance.{name}: {CHANGED}"
    needed = [
        parameter.name
        for parameter in inspect.signature(method).parameters.values()
        if parameter.default is parameter.empty and parameter.name not in ("self", *METHODS[name])
    ]
    assert needed == [], f"DagsterInstance.{name} needs {needed}. {CHANGED}"


def test_the_log_of_a_run_its_errors_and_its_checks_are_what_this_package_reads() -> None:
    """On a run that fails after a retry, with a check that came to no result."""

    @dg.asset(
        check_specs=[dg.AssetCheckSpec("done", asset="made")],
        retry_policy=dg.RetryPolicy(max_retries=1, delay=0),
    )
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        raise dg.Failure(f"attempt {context.retry_number}")

    with fresh_instance() as instance:
        run = dg.materialize([made], instance=instance, raise_on_error=False).dagster_run
        (retry,) = run_log(instance, run.run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY)
        (failure,) = run_log(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE)
        assert seconds_to_retry(retry) == 0
        assert "attempt 0" in (error_of(retry) or LoggedError("", "")).reason
        assert (error_of(failure) or LoggedError("", "")).reason == "attempt 1"
        (start, *_) = run_log(instance, run.run_id, dg.DagsterEventType.STEP_START)
        assert error_of(start) is None
        entries, cursor = new_log(instance, run.run_id, None)
        assert len(entries) == len(run_log(instance, run.run_id))
        assert new_log(instance, run.run_id, cursor) == ([], cursor)
        assert new_log(instance, "no such run", None) == ([], None)
        last = find_last_log_time(instance, run.run_id)
        assert last == datetime.fromtimestamp(max(entry.timestamp for entry in entries), UTC)
        assert find_last_log_time(instance, "no such run") is None
        begun, unheard_of = (dg.AssetCheckKey(dg.AssetKey("made"), name) for name in ("done", "unheard_of"))
        assert check_records(instance, [begun, unheard_of]) == {begun: CheckRecord(None, None, False)}


@pytest.mark.parametrize(
    ("end", "status"), [(cancel_run, dg.DagsterRunStatus.CANCELED), (fail_run, dg.DagsterRunStatus.FAILURE)]
)
def test_a_run_that_is_cancelled_or_failed_ends(
    end: Callable[[dg.DagsterInstance, dg.DagsterRun, str], None], status: dg.DagsterRunStatus
) -> None:
    with fresh_instance() as instance:
        run = instance.create_run_for_job(dg.JobDefinition(graph_def=dg.GraphDefinition(name="nothing")))
        assert location_name(run) is None
        end(instance, run, "stopped")
        ended = instance.get_run_by_id(run.run_id)
        assert ended
        assert ended.status is status
        (last,) = run_log(instance, run.run_id)
        assert last.dagster_event
        assert last.dagster_event.message == "stopped"


def test_new_records_know_of_no_daemon_and_of_no_code_location(tmp_path: Path) -> None:
    with open_records(tmp_path) as instance:
        states = daemon_states(instance)
        assert DaemonState("SENSOR", False, None) in states
        assert location_names(instance, datetime(2025, 1, 1, tzinfo=UTC), "", lambda run: True) == set()


UNDOCUMENTED = re.compile(
    r"^\s*(from|import) (dagster\._|dagster_dlt\._|dagster_graphql\._|dagster_shared\b)", re.MULTILINE
)


def test_nothing_else_imports_what_dagster_keeps_to_itself() -> None:
    """Two modules of the tests do: what only Dagster's daemon writes, and what it sends to its pages."""
    (package,) = refersion_dagster.__path__
    found = {
        path.name
        for folder in (Path(package), Path(__file__).parent)
        for path in folder.rglob("*.py")
        if UNDOCUMENTED.search(path.read_text("utf-8"))
    }
    assert found == {"daemon_records.py", "test_definitions.py"}

"""Only a person's launch of an operation's job writes to Refersion."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.orchestration.run import require_launch_by_person
from refersion_dagster.code_location import build_definitions
from refersion_dagster.definitions import defs
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.actions.actions_harness import (
    CREDIT,
    WRITES,
    WRITES_ALLOWED,
    ActionsHarness,
    by_hand,
    credit_of,
)
from refersion_dagster_tests.location import account_of, fresh_instance, outcome

KEYS = {dg.AssetKey(["actions", name]) for name in ENDPOINTS}
JOBS = {f"actions_{name}" for name in ENDPOINTS}
REPOSITORY = defs.get_repository_def()


def job_of_a_credit() -> dg.JobDefinition:
    return defs.resolve_job_def(f"actions_{CREDIT}")


def job_where_writing_is_allowed() -> dg.JobDefinition:
    return build_definitions(WRITES_ALLOWED).resolve_job_def(f"actions_{CREDIT}")


class TestTheDefinitions:
    def test_have_an_asset_and_a_job_for_each_operation(self) -> None:
        assert set(REPOSITORY.asset_graph.get_all_asset_keys()) >= KEYS
        assert {job.name for job in REPOSITORY.get_all_jobs()} >= JOBS

    def test_have_no_code_for_these_assets(self) -> None:
        graph = REPOSITORY.asset_graph
        assert KEYS.isdisjoint(graph.executable_asset_keys)
        assert KEYS.isdisjoint(graph.materializable_asset_keys)
        assert {graph.get(key).execution_type.value for key in KEYS} == {"UNEXECUTABLE"}

    def test_materialise_all_leaves_them_out(self) -> None:
        assert KEYS.isdisjoint(dg.AssetSelection.all().resolve(REPOSITORY.asset_graph))
        everything = dg.define_asset_job("everything", selection="*").resolve(asset_graph=REPOSITORY.asset_graph)
        assert KEYS.isdisjoint(everything.asset_layer.executable_asset_keys)
        assert KEYS.isdisjoint(defs.resolve_implicit_global_asset_job_def().asset_layer.executable_asset_keys)

    def test_have_no_condition_that_would_start_one(self) -> None:
        graph = REPOSITORY.asset_graph
        assert {graph.get(key).automation_condition for key in KEYS} == {None}

    @pytest.mark.parametrize(
        "job", [job for job in REPOSITORY.get_all_jobs() if job.name not in JOBS], ids=lambda job: job.name
    )
    def test_no_other_job_has_a_step_of_one(self, job: dg.JobDefinition) -> None:
        assert {node.definition.name for node in job.nodes}.isdisjoint(ENDPOINTS)

    def test_are_left_out_by_dagsters_retries_of_runs(self) -> None:
        assert {defs.resolve_job_def(job).tags["dagster/max_retries"] for job in JOBS} == {"0"}

    def test_no_schedule_and_no_sensor_starts_one(self) -> None:
        schedules = {schedule.job_name for schedule in REPOSITORY.schedule_defs}
        sensors = {target.job_name for sensor in REPOSITORY.sensor_defs for target in sensor.targets}
        assert (schedules | sensors).isdisjoint(JOBS)

    @pytest.mark.parametrize("name", sorted(JOBS))
    def test_none_starts_without_a_configuration_of_its_own(self, name: str) -> None:
        with pytest.raises(dg.DagsterInvalidConfigError, match="Missing required config entry"):
            defs.resolve_job_def(name).execute_in_process()


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def request_of_a_schedule(config: dict[str, Any]) -> dg.RunRequest:
    """Returns the request that Dagster launches for a schedule that a user added for the job."""
    schedule = dg.ScheduleDefinition("nightly", cron_schedule="0 3 * * *", job=job_of_a_credit(), run_config=config)
    of = dg.Definitions(schedules=[schedule]).get_repository_def()
    context = dg.build_schedule_context(scheduled_execution_time=NOW, repository_def=of)
    requests = schedule.evaluate_tick(context).run_requests
    assert requests
    return requests[0]


def request_of_a_sensor(config: dict[str, Any]) -> dg.RunRequest:
    @dg.sensor(job=job_of_a_credit())
    def often() -> dg.RunRequest:
        return dg.RunRequest(run_config=config)

    of = dg.Definitions(sensors=[often]).get_repository_def()
    requests = often.evaluate_tick(dg.build_sensor_context(repository_def=of)).run_requests
    assert requests
    return requests[0]


REQUESTS = {"a schedule": request_of_a_schedule, "a sensor": request_of_a_sensor}


@pytest.mark.parametrize("of", REQUESTS)
def test_a_configuration_that_was_stored_is_refused_on_another_day(actions: ActionsHarness, of: str) -> None:
    """The date alone is enough: Dagster's tags of such a run are left out."""
    stored = {"ops": {CREDIT: {"config": {**by_hand(), "launched_on": "2026-06-30"}}}}
    request = REQUESTS[of](stored)
    ended = actions.launch(CREDIT, [credit_of(actions.affiliate())], **request.run_config["ops"][CREDIT]["config"])
    assert "Nothing was sent: launched_on is '2026-06-30', which is not today's date." in ended.failure
    assert actions.sandbox.requests() == {}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("of", REQUESTS)
def test_a_run_that_dagster_starts_is_refused_though_it_fills_in_the_date(
    actions: ActionsHarness, of: str, dry_run: bool
) -> None:
    request = REQUESTS[of]({"ops": {CREDIT: {"config": by_hand()}}})
    ended = actions.launch(CREDIT, [credit_of(actions.affiliate())], tags=request.tags, dry_run=dry_run)
    assert f"Nothing was sent: this run was started by {of}. Use the Launchpad or a shell." in ended.failure
    assert actions.sandbox.requests() == {}


@pytest.mark.parametrize(
    ("tag", "what"),
    [("dagster/backfill", "a backfill"), ("dagster/from_automation_condition", "an automation condition")],
)
def test_a_run_of_a_backfill_or_a_condition_is_refused(actions: ActionsHarness, tag: str, what: str) -> None:
    ended = actions.launch(CREDIT, [credit_of(actions.affiliate())], tags={tag: "nightly"})
    assert f"Nothing was sent: this run was started by {what}" in ended.failure
    assert actions.sandbox.requests() == {}


def test_a_run_that_repeats_another_is_refused(actions: ActionsHarness) -> None:
    """This covers a retry by Dagster and a re-execution in its UI, which both copy the configuration."""
    config = {"ops": {CREDIT: {"config": {**by_hand(), "dry_run": False, "items": [credit_of(actions.affiliate())]}}}}
    off, on = dg.reconstructable(job_of_a_credit), dg.reconstructable(job_where_writing_is_allowed)
    with dg.DagsterInstance.ephemeral() as instance:
        first = dg.execute_job(off, instance, run_config=config, raise_on_error=False)
        options = dg.ReexecutionOptions(first.run_id)
        again = dg.execute_job(on, instance, run_config=config, raise_on_error=False, reexecution_options=options)
        failed = outcome(instance, again.run_id).failure
    assert f"Nothing was sent: this run repeats run {first.run_id}." in failed
    assert actions.sandbox.requests() == {}


@pytest.mark.parametrize(
    ("launched_on", "fits"),
    [("2026-07-01", True), ("2026-07-02", True), ("2026-06-30", False), ("2026-07-03", False), ("", False)],
)
def test_the_date_is_todays_wherever_the_person_is(launched_on: str, fits: bool) -> None:
    run = dg.DagsterRun("actions_conversion_manual_credit")
    with nullcontext() if fits else pytest.raises(dg.Failure, match="is not today's date"):
        require_launch_by_person(run, launched_on, NOW)


@pytest.mark.exhaustive
def test_materialise_all_begins_everything_else_and_writes_nothing(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs the job with writes allowed. It is fast because steps that need GraphQL fail without a token.

    test_refersion_refresh.py runs the whole job successfully as a process.
    """
    monkeypatch.chdir(tmp_path)
    account = account_of(sandbox, graphql_token=None).model_dump(exclude_none=True)
    database = {"duckdb_path": str(tmp_path / "warehouse.duckdb")}
    job = build_definitions(WRITES_ALLOWED).resolve_implicit_global_asset_job_def()
    with fresh_instance() as instance:
        ended = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"resources": {"refersion": {"config": account}, "warehouse": {"config": database}}},
        )
        planned = instance.get_execution_plan_snapshot(
            ended.dagster_run.execution_plan_snapshot_id or ""
        ).step_keys_to_execute
    assert "refersion_tables" in planned
    assert len(planned) > 10
    assert set(planned).isdisjoint(ENDPOINTS)
    assert sandbox.requests()["rest:/affiliate/list"] >= 1
    assert set(sandbox.requests()).isdisjoint(WRITES)

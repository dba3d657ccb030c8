"""Nothing but a person's launch of its own job ever writes to Refersion."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage import tags

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.orchestration.run import AUTOMATIC
from refersion_dagster.definitions import defs
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.actions.actions_harness import CREDIT, WRITES, ActionsHarness, credit_of, writes_allowed
from refersion_dagster_tests.location import account_of, fresh_instance

KEYS = {dg.AssetKey(["actions", name]) for name in ENDPOINTS}
JOBS = {f"actions_{name}" for name in ENDPOINTS}
REPOSITORY = defs.get_repository_def()


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

    def test_no_schedule_and_no_sensor_starts_one(self) -> None:
        schedules = {schedule.job_name for schedule in REPOSITORY.schedule_defs}
        sensors = {target.job_name for sensor in REPOSITORY.sensor_defs for target in sensor.targets}
        assert (schedules | sensors).isdisjoint(JOBS)

    @pytest.mark.parametrize("name", sorted(JOBS))
    def test_none_starts_without_a_configuration_of_its_own(self, name: str) -> None:
        with pytest.raises(dg.DagsterInvalidConfigError, match="Missing required config entry"):
            defs.resolve_job_def(name).execute_in_process()


@pytest.mark.parametrize(
    ("tag", "what"),
    [
        ("dagster/schedule_name", "a schedule"),
        ("dagster/sensor_name", "a sensor"),
        ("dagster/backfill", "a backfill"),
        ("dagster/from_automation_condition", "an automation condition"),
    ],
)
def test_a_run_that_something_else_started_is_refused(actions: ActionsHarness, tag: str, what: str) -> None:
    """Whoever adds a schedule for one of the jobs all the same."""
    ended = actions.launch(CREDIT, [credit_of(actions.affiliate())], tags={tag: "nightly"})
    assert f"Nothing was sent: this run was started by {what}" in ended.failure
    assert actions.sandbox.requests() == {}


def test_the_tags_are_those_that_dagster_sets() -> None:
    assert set(AUTOMATIC) == {
        tags.SCHEDULE_NAME_TAG,
        tags.SENSOR_NAME_TAG,
        tags.BACKFILL_ID_TAG,
        tags.AUTO_MATERIALIZE_TAG,
        tags.AUTOMATION_CONDITION_TAG,
    }


@pytest.mark.exhaustive
def test_materialise_all_begins_everything_else_and_writes_nothing(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For real, where writing is allowed. (Without a token, so that it is over soon: what needs GraphQL fails.)

    The whole job as a process, to its good end, is in test_refersion_refresh.py.
    """
    monkeypatch.chdir(tmp_path)
    account = account_of(sandbox, graphql_token=None).model_dump(exclude_none=True)
    database = {"duckdb_path": str(tmp_path / "warehouse.duckdb")}
    job = defs.resolve_implicit_global_asset_job_def()
    with fresh_instance() as instance, writes_allowed():
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

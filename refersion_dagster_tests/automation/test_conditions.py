"""When automation builds a summary: after updates of its parents by others, once, and never upon a failed check."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.automation.conditions import FOLLOW_PARENTS
from refersion_dagster_tests.location import fresh_instance

RAW, CORE, SUMMARY = (dg.AssetKey(name) for name in ("raw", "core", "summary"))


class Config(dg.Config):
    raw_is_good: bool = True


@dg.asset(key=RAW, check_specs=[dg.AssetCheckSpec("good", asset=RAW, blocking=True)])
def raw(config: Config) -> Iterator[Any]:
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=config.raw_is_good)])


@dg.asset(key=CORE, deps=[RAW], automation_condition=FOLLOW_PARENTS)
def core() -> None: ...


@dg.asset(key=SUMMARY, deps=[RAW, CORE], automation_condition=FOLLOW_PARENTS)
def summary(context: dg.AssetExecutionContext) -> None:
    if "broken" in context.run.tags:
        raise ValueError("broken")


class Automation:
    """Dagster's automation of these three, look by look, with runs in between."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        # A job as refersion_refresh is: its runs name no assets.
        self.defs = dg.Definitions([raw, core, summary], jobs=[dg.define_asset_job("refresh", "*")])
        self.cursor: Any = None

    def look(self) -> set[dg.AssetKey]:
        """What it asks to build."""
        found = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
        self.cursor = found.cursor
        return {key for key in (RAW, CORE, SUMMARY) if found.get_num_requested(key)}

    def refresh(self, **tags: str) -> None:
        job = self.defs.resolve_job_def("refresh")
        job.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)

    def build(self, *keys: dg.AssetKey, raw_is_good: bool = True, **tags: str) -> None:
        dg.materialize(
            [raw, core, summary],
            selection=list(keys),
            instance=self.instance,
            raise_on_error=False,
            tags=tags,
            run_config={"ops": {"raw": {"config": {"raw_is_good": raw_is_good}}}} if RAW in keys else {},
        )


@pytest.fixture
def automation() -> Iterator[Automation]:
    with fresh_instance() as instance:
        automation = Automation(instance)
        assert not automation.look()
        automation.refresh()
        assert not automation.look()
        yield automation


def test_nothing_is_built_twice_after_a_refresh(automation: Automation) -> None:
    automation.refresh()
    automation.refresh()
    assert not automation.look()
    assert not automation.look()


def test_all_that_stands_on_a_table_follows_it_once(automation: Automation) -> None:
    automation.build(RAW)
    assert automation.look() == {CORE, SUMMARY}
    automation.build(CORE, SUMMARY)
    assert not automation.look()


def test_a_table_loaded_right_after_a_refresh_is_seen(automation: Automation) -> None:
    automation.refresh()
    automation.build(RAW)
    assert automation.look() == {CORE, SUMMARY}


def test_a_table_loaded_before_the_summaries_were_built_by_hand_is_not(automation: Automation) -> None:
    automation.build(RAW)
    automation.build(CORE, SUMMARY)
    assert not automation.look()


def test_a_table_loaded_right_after_automation_built_is_seen(automation: Automation) -> None:
    automation.build(RAW)
    assert automation.look()
    automation.build(CORE, SUMMARY)
    automation.build(RAW)
    assert automation.look() == {CORE, SUMMARY}


def test_nothing_is_built_upon_a_failed_check(automation: Automation) -> None:
    automation.build(RAW, raw_is_good=False)
    assert not automation.look()
    automation.build(RAW)
    assert automation.look() == {CORE, SUMMARY}


def test_what_failed_is_tried_again_when_a_parent_is_updated_and_not_before(automation: Automation) -> None:
    automation.build(RAW)
    assert automation.look() == {CORE, SUMMARY}
    automation.build(CORE, SUMMARY, broken="yes")
    # Its parent core was built by the run that failed, and is newer.
    assert automation.look() == {SUMMARY}
    automation.build(SUMMARY, broken="yes")
    assert not automation.look()
    assert not automation.look()
    automation.build(RAW)
    assert automation.look() == {CORE, SUMMARY}

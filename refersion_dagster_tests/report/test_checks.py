"""The report shows the check results in Dagster's records."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from refersion_dagster.report.checks import CheckState, check_states, group_checks
from refersion_dagster.report.commissions.figures import Figures
from refersion_dagster.report.commissions.render import report_page
from refersion_dagster_tests.location import fresh_instance
from refersion_dagster_tests.report.commissions.report_helpers import MADE
from refersion_dagster_tests.report.html_reader import read, rows, tables, text

KEY = dg.AssetKey(["summaries", "made"])


@dg.asset(key=KEY)
def made() -> None: ...


def check(name: str, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR) -> dg.AssetChecksDefinition:
    """Returns a check that passes, fails or breaks, according to the run's tag with its name."""

    @dg.asset_check(asset=KEY, name=name)
    def run_check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        told = context.run.tags[f"does/{name}"]
        if told == "break":
            raise dg.Failure("broken")
        return dg.AssetCheckResult(passed=told == "pass", severity=severity, description=f"{name} <b>said</b>")

    return run_check


CHECKS = {name: check(name) for name in ("one", "two")} | {"odd": check("odd", dg.AssetCheckSeverity.WARN)}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with fresh_instance() as instance:
        yield instance


def run(instance: dg.DagsterInstance, with_asset: bool = True, **does: str) -> None:
    """Runs these checks and, by default, materializes the checked assets."""
    dg.materialize(
        [made, *(CHECKS[name] for name in does)],
        selection=None if with_asset else dg.AssetSelection.checks(*(CHECKS[name] for name in does)),
        instance=instance,
        tags={f"does/{name}": told for name, told in does.items()},
        raise_on_error=False,
    )


def verdicts(instance: dg.DagsterInstance) -> dict[str, str]:
    keys = [dg.AssetCheckKey(KEY, name) for name in CHECKS]
    return {state.name: state.verdict for state in check_states(instance, keys)}


def test_one_that_never_ran_is_said_not_to_have_run(instance: dg.DagsterInstance) -> None:
    assert verdicts(instance) == dict.fromkeys(CHECKS, "never run")


def test_those_that_ran_passed_failed_or_warned_and_failures_come_first(instance: dg.DagsterInstance) -> None:
    run(instance, one="pass", two="fail", odd="fail")
    assert list(verdicts(instance).items()) == [("two", "failed"), ("odd", "warning"), ("one", "passed")]


def test_one_that_broke_off_came_to_no_result(instance: dg.DagsterInstance) -> None:
    run(instance, one="break", two="pass", odd="pass")
    assert verdicts(instance) == {"one": "not finished", "two": "passed", "odd": "passed"}


def test_one_that_passed_before_its_table_was_built_anew_is_outdated(instance: dg.DagsterInstance) -> None:
    run(instance, one="pass", two="pass", odd="pass")
    run(instance, two="pass", odd="pass")
    assert verdicts(instance) == {"one": "outdated", "two": "passed", "odd": "passed"}
    run(instance, with_asset=False, one="pass")
    assert verdicts(instance)["one"] == "passed"


def test_the_last_word_counts(instance: dg.DagsterInstance) -> None:
    run(instance, one="fail", two="pass", odd="pass")
    run(instance, one="pass", two="fail", odd="pass")
    assert verdicts(instance) == {"two": "failed", "odd": "passed", "one": "passed"}


def test_the_page_names_those_that_failed_and_what_they_said(instance: dg.DagsterInstance) -> None:
    run(instance, one="pass", two="fail", odd="fail")
    states = check_states(instance, [dg.AssetCheckKey(KEY, name) for name in CHECKS])
    page = read(report_page(Figures(None, None, None, [], [], 0, []), states, MADE))
    found = rows(tables(page)["Last result of each check"])
    assert [[text(cell) for cell in row[:3]] for row in found] == [
        ["Two", "failed", "summaries/made two <b>said</b>"],
        ["Odd", "warning", "summaries/made odd <b>said</b>"],
        ["One", "passed", "summaries/made"],
    ]
    (link,) = next(page.iter("header")).iter("a")
    assert text(link) == "1 of 3 checks failed: review them before you use the figures"


def test_the_page_does_not_say_that_all_is_well_where_a_check_never_ran() -> None:
    at = datetime(2025, 4, 1, 12, tzinfo=UTC)
    states = [CheckState("a", "x", "never run", None, None), CheckState("b", "x", "passed", None, at)]
    page = read(report_page(Figures(None, None, None, [], [], 0, []), states, MADE))
    assert text(next(iter(next(page.iter("header")).iter("a")))) == (
        "1 of 2 checks passed, none failed: see the others"
    )
    found = rows(tables(page)["Last result of each check"])
    assert [text(row[3]) for row in found] == ["never", "1 April 2025, 12:00 UTC"]


def test_checks_of_one_name_that_came_to_the_same_are_one_line() -> None:
    earlier, later = (datetime(2025, 4, day, tzinfo=UTC) for day in (1, 2))
    states = [
        CheckState("key", "c", "failed", "no", later),
        CheckState("key", "a", "passed", None, earlier),
        CheckState("key", "b", "passed", None, later),
    ]
    found = [(group.name, group.verdict, len(group.checks), group.last) for group in group_checks(states)]
    assert found == [("key", "failed", 1, later), ("key", "passed", 2, later)]

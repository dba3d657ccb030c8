"""The journal and the result tables are the same in each database."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from refersion_dagster.actions.journal.journal import AlreadyUnderWay, RequestContext
from refersion_dagster.actions.planning.preflight import AmountLimits
from refersion_dagster.refersion import ReadReport
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.processes import ended, killed, started
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.postgres import PostgresDatabase

NASTY = "'; DROP TABLE x; -- \"q\" \\ \\' %s $name {j} \n\t 🎉 ' OR 1=1 € ß \u2028"


@pytest.fixture(params=limit_cases(["duckdb", "postgres"]))
def actions(request: pytest.FixtureRequest, sandbox: SandboxServer, tmp_path: Path) -> ActionsHarness:
    """An account and an empty warehouse in each of the databases."""
    if request.param == "postgres":
        request.getfixturevalue("postgres")
    return ActionsHarness(sandbox, tmp_path / "warehouse.duckdb", request.param)


def test_an_item_is_recorded_once_whoever_may_write(actions: ActionsHarness) -> None:
    changes = [{"conversion_id": number, "status": "APPROVED"} for number in (1, 2, 3)]
    (call,) = actions.plan(actions.order("conversion_status_change", changes, check_warehouse=False)).calls
    with actions.unlocked_journal() as one, actions.unlocked_journal() as other:
        other.intend(call[1:2], {}, RequestContext("Ada", "other", "", ""), None)
        with pytest.raises(AlreadyUnderWay):
            one.intend(call, {}, RequestContext("Ada", "mine", "", ""), None)
    assert [entry.run_id for entry in actions.journal()] == ["other"]


def test_texts_come_back_as_they_were(actions: ActionsHarness) -> None:
    credit = credit_of(actions.affiliate(), notes=NASTY, key="k'\\1")
    assert actions.perform(CREDIT, [credit], purpose=NASTY, check_warehouse=False) == ["done"]
    (entry,) = actions.journal()
    assert (entry.request["notes"], entry.key, entry.purpose) == (NASTY.strip(), "k'\\1", NASTY)
    assert actions.warehouse.query(f"SELECT notes, key, purpose FROM refersion_data.{CREDIT}") == [
        (NASTY.strip(), "k'\\1", NASTY)
    ]
    assert any(NASTY.strip() in row.notes for row in actions.sandbox.account.conversions.values())


def test_result_tables_have_the_types_that_are_told(actions: ActionsHarness) -> None:
    before = datetime.now(UTC)
    credits = [credit_of(actions.affiliate(), "-0.1"), credit_of(actions.affiliate(1), "999999999.99")]
    limits = AmountLimits(10, Decimal(10**10))
    assert actions.perform(CREDIT, credits, check_warehouse=False, limits=limits) == ["done", "done"]
    rows = actions.warehouse.query(
        f"SELECT commission, affiliate_id, attempt, intended_at, settled_at, outcome FROM refersion_data.{CREDIT} "
        "ORDER BY commission"
    )
    assert [row[0] for row in rows] == [Decimal("-0.1000"), Decimal("999999999.9900")]
    assert rows[0][1:3] == (str(actions.affiliate().id), 1)
    assert before < rows[0][3] < datetime.now(UTC)
    assert rows[0][4:] == (None, "done")


@pytest.mark.parametrize("actions", ["postgres"], indirect=True)
def test_a_row_follows_its_item_from_attempt_to_attempt(actions: ActionsHarness) -> None:
    credit = [credit_of(actions.affiliate())]
    actions.sandbox.fault("rest:/conversion/manual_credit", "status", status=422, body={"errors": ["No."]})
    sql = f"SELECT outcome, attempt FROM refersion_data.{CREDIT}"
    assert actions.perform(CREDIT, credit, check_warehouse=False) == ["refused"]
    assert actions.warehouse.query(sql) == [("refused", 1)]
    assert actions.perform(CREDIT, credit, check_warehouse=False, again=True) == ["done"]
    assert actions.warehouse.query(sql) == [("done", 2)]
    with actions.warehouse.session() as session:
        kept = session.query("SELECT attempt, outcome FROM refersion_data.action_journal ORDER BY attempt")
    assert kept == [(1, "refused"), (2, "done")]


@pytest.mark.parametrize("actions", ["duckdb"], indirect=True)
def test_a_warehouse_that_begins_with_an_action_loads_as_any_other(actions: ActionsHarness) -> None:
    """A separate pipeline loads results, so that it does not share state or schema with the loads."""
    assert actions.perform(CREDIT, [credit_of(actions.affiliate())], check_warehouse=False) == ["done"]
    source = actions.account().source(ReadReport()).with_resources("affiliate_list", "affiliate_get")
    with actions.warehouse.write_lock(print), actions.warehouse.pipeline() as pipeline:
        pipeline.run(actions.warehouse.prepare(source), loader_file_format="parquet")
        assert pipeline.default_schema_name == "refersion_source"
    assert actions.warehouse.row_counts(["affiliate_list", "affiliate_get", CREDIT]) == {
        "affiliate_list": 12,
        "affiliate_get": 12,
        CREDIT: 1,
    }


class TestOnPostgreSQL:
    """The same as test_killed.py and test_two_at_once.py, which use DuckDB."""

    @pytest.fixture
    def actions(self, sandbox: SandboxServer, postgres: PostgresDatabase, tmp_path: Path) -> ActionsHarness:
        return ActionsHarness(sandbox, tmp_path, "postgres")

    @pytest.mark.parametrize(
        ("event", "sent"), [("call", False), ("return", True)], ids=["before the call", "after it"]
    )
    def test_a_run_killed_in_a_call_leaves_it_unknown(self, actions: ActionsHarness, event: str, sent: bool) -> None:
        credit = [credit_of(actions.affiliate())]
        killed(lambda: actions.send(CREDIT, credit, check_warehouse=False), "Transport._send", event, 2)
        assert actions.send(CREDIT, credit, check_warehouse=False) == []
        assert actions.outcomes() == ["unknown"]
        assert len(actions.credits()) == sent

    def test_two_processes_send_each_item_once(self, actions: ActionsHarness) -> None:
        credits = [credit_of(actions.affiliate(number)) for number in range(6)]
        runs = [started(lambda: actions.send(CREDIT, credits, check_warehouse=False)) for _ in range(2)]
        assert [ended(run) for run in runs] == [0, 0]
        assert len(actions.credits()) == 6
        assert {entry.outcome.value for entry in actions.journal()} == {"done"}

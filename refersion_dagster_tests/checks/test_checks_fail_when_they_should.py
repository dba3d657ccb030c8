"""Each check, on a sound warehouse that was broken in one place."""

from typing import Any

import dagster as dg
import pytest

from refersion_dagster.checks.assets import sums_check
from refersion_dagster.checks.raw import ACCEPTED, KEYS
from refersion_dagster.checks.sums import find_drift
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.build import build
from refersion_dagster.summaries.query import Summary
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.checks.check_evaluation import all_keys, evaluate
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.summaries.builders import all_summaries, summary_of

ONE = "id = (SELECT min(id) FROM refersion_data.conversions WHERE status = 'APPROVED' AND NOT is_test_conversion)"

# check: statements that break what it looks at.
BROKEN: dict[str, list[str]] = {
    **{
        f"refersion/{table}:primary_key": [
            f"INSERT INTO refersion_data.{table} SELECT * FROM refersion_data.{table} LIMIT 1"
        ]
        for table in KEYS
    },
    **{
        f"refersion/{table}:no_variant_columns": [
            f"ALTER TABLE refersion_data.{table} ADD COLUMN {KEYS[table][0]}__v_text text"
        ]
        for table in KEYS
    },
    **{
        f"refersion/{table}:accepted_values": [f"UPDATE refersion_data.{table} SET {column} = 'ON_HOLD'"]
        for table, columns in ACCEPTED.items()
        for column in columns
    },
    "refersion/conversion_history:history_agrees": [
        f"UPDATE refersion_data.conversions SET status = 'DENIED' WHERE {ONE}",
        f"UPDATE refersion_data.conversions SET affiliate_id = '99' WHERE {ONE}",
    ],
    "refersion/schema_changes:schema_changes_affect_nothing": [
        "INSERT INTO refersion_data.schema_changes "
        "SELECT seen_at, seen_at, 'Offer.name', 'removed', 'String', NULL, 'offers.name', TRUE "
        "FROM refersion_data.graphql_schemas"
    ],
    "summaries/conversions:affiliates_known": [
        f"UPDATE refersion_summaries.conversions SET affiliate_id = '99' WHERE conversion_{ONE}"
    ],
    "summaries/conversions:currencies_well_formed": [
        f"UPDATE refersion_summaries.conversions SET currency = 'usd' WHERE conversion_{ONE}"
    ],
    "summaries/commission_roll_forward:roll_forward_ties": [
        "UPDATE refersion_summaries.commission_roll_forward SET difference = 0.01"
    ],
    "summaries/commission_roll_forward:closing_is_the_liability": [
        "UPDATE refersion_summaries.commission_roll_forward SET closing_due = closing_due + 0.01"
    ],
    "summaries/commission_roll_forward:roll_forward_paid_is_payments": [
        "UPDATE refersion_summaries.commission_roll_forward SET paid = paid + 0.01"
    ],
    "summaries/payment_proof:payments_equal_their_conversions": [
        "UPDATE refersion_data.payments SET commission_total = commission_total + 0.01",
        "REBUILD payments payment_proof",
    ],
    "summaries/payment_proof:payments_proven": [
        "UPDATE refersion_data.payments SET vanished_at = read_at",
        "REBUILD payments payment_proof",
    ],
    "summaries/control_totals:control_totals_agree": [
        f"UPDATE refersion_data.conversions SET commission_total = commission_total + 0.01 WHERE {ONE}",
        "REBUILD control_totals",
    ],
    "summaries/control_totals:control_totals_settled": [
        f"UPDATE refersion_data.conversions SET commission_total = commission_total + 0.01 WHERE {ONE}",
        "INSERT INTO refersion_data._unsettled_totals "
        "SELECT month, status, payment_status, totals_currency, '', FALSE, totals_read_at "
        "FROM refersion_summaries.control_totals",
        "REBUILD control_totals",
    ],
    "summaries/control_totals:accepted_differences_needed": [
        "SETTING accepted_differences 2025-03 APPROVED UNPAID USD 1 12.50 125 by Ana Lee on 2025-04-02: order 77"
    ],
    **{
        f"summaries/{summary.name}:sums_preserved": [
            f"DELETE FROM refersion_summaries.{summary.name} WHERE {next(iter(summary.header.sums))} <> 0"
        ]
        for summary in all_summaries()
        if summary.header.sums
    },
}


def test_all_pass_on_a_sound_warehouse(warehouse: Warehouse) -> None:
    found = evaluate(warehouse)
    assert found.keys() == all_keys().keys()
    assert {name: evaluation.metadata for name, evaluation in found.items() if not evaluation.passed} == {}


def test_each_is_broken_here() -> None:
    assert BROKEN.keys() == all_keys().keys()


@pytest.mark.exhaustive
@pytest.mark.parametrize("check", BROKEN)
def test_each_fails_on_what_it_is_there_for(warehouse: Warehouse, check: str) -> None:
    settings = ReportSettings()
    with warehouse.session() as session:
        for statement in BROKEN[check]:
            if statement.startswith("SETTING "):
                _, name, value = statement.split(maxsplit=2)
                settings = ReportSettings(**{name: value})
            elif statement.startswith("REBUILD "):
                for name in statement.split()[1:]:
                    build(session, summary_of(name), ReportSettings().parameters())
            else:
                session.query(statement)
    (found,) = evaluate(warehouse, check, settings=settings).values()
    assert not found.passed
    assert found.metadata["offending_rows"].value
    assert str(found.metadata["rows"].value).startswith("| ")
    assert len(str(found.metadata["meaning"].value)) > 60


def test_severity_is_an_error_where_figures_are_wrong_and_a_warning_where_a_person_has_to_look(
    warehouse: Warehouse,
) -> None:
    blocking = {name for name, blocks in all_keys().items() if blocks}
    warnings = {name for name, found in evaluate(warehouse).items() if found.severity == dg.AssetCheckSeverity.WARN}
    assert not blocking & warnings
    assert {name.partition(":")[2] for name in warnings} == {
        "accepted_differences_needed",
        "schema_changes_affect_nothing",
        "accepted_values",
        "affiliates_known",
        "control_totals_settled",
        "currencies_well_formed",
        "payments_proven",
    }


@pytest.mark.parametrize(
    "summary", limit_cases([one for one in all_summaries() if one.header.sums], 3), ids=lambda one: one.name
)
def test_sums_name_the_column_and_the_currency_that_differ_with_both_amounts(
    warehouse: Warehouse, summary: Summary
) -> None:
    table, sums = f"{SUMMARIES}.{summary.name}", summary.header.sums
    with warehouse.session() as session:
        assert find_drift(session, summary.name, sums).count == 0
        for column in sums:
            one = f"rowid = (SELECT min(rowid) FROM {table} WHERE {column} IS NOT NULL)"
            ((currency,),) = session.query(f"SELECT currency FROM {table} WHERE {one}")
            session.query(f"UPDATE {table} SET {column} = {column} + 1 WHERE {one}")
            found: list[Any] = find_drift(session, summary.name, sums).rows
            ((name, differing, raw, summed),) = found
            assert (name, differing, summed - raw) == (column, currency, 1)
            session.query(f"UPDATE {table} SET {column} = {column} - 1 WHERE {one}")
        session.query(f"DELETE FROM {table} WHERE currency = 'EUR'")
        lost = find_drift(session, summary.name, sums)
        assert {(row[1], row[3]) for row in lost.rows} == {("EUR", None)}
        assert lost.count == len(lost.rows) > 0


def test_sums_are_described_by_what_each_column_adds_up() -> None:
    (spec,) = sums_check(summary_of("approval_rates")).check_specs
    assert spec.description
    assert "sales: gross affiliate sales, each purchase once" in spec.description
    (spec,) = sums_check(summary_of("commission_by_affiliate")).check_specs
    assert spec.description
    assert "commission_due: commission approved and not paid" in spec.description

"""What columns need of the account: worked out from lineage, declared in the header, and held against each other."""

import pytest

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.summaries.knowledge import (
    EVERY,
    find_unknown_columns,
    is_kept,
    is_lacking,
    is_optional,
    needs_of,
)
from refersion_dagster.summaries.lineage import column_sources
from refersion_dagster.summaries.query import Summary, parse, sort_by_dependency
from refersion_dagster.warehouse.sql_file import SqlFileError
from refersion_dagster_tests.summaries.builders import all_summaries

OPTIONAL = [(e.name, c.name) for e in ENTITIES.values() for c in e.columns if is_optional(e.name, c.name)]
SQL = """/*
group: core
description: Orders.
grain: one row per order
primary_key: [order_id]
owners: [team:data]
questions: ["Which orders are there?"]
{header}
*/
SELECT order_id, sum(total) AS total, count(coupon_code) AS coupons, max({column}) AS approved
FROM refersion_data.conversions
WHERE type IS NOT NULL
GROUP BY order_id
"""


def made(header: str = "", column: str = "status") -> Summary:
    return sort_by_dependency([parse(SQL.format(header=header, column=column), "orders.sql")])[0]


@pytest.mark.parametrize("summary", all_summaries(), ids=lambda one: one.name)
def test_each_column_needs_the_optional_fields_it_is_made_of_or_says_what_it_needs(summary: Summary) -> None:
    sources = column_sources(summary, summary.reads.values())
    for column in summary.columns:
        if column in summary.header.needs:
            continue
        reached = {(table, name) for schema, table, name in sources[column] if schema == DATASET}
        needed = {field for need in needs_of(summary)[column] for field in need}
        for table, name in reached & set(OPTIONAL):
            assert (table, name) in needed, f"{summary.name}.{column} is made of {table}.{name} and does not need it"
        for schema, table, name in sources[column]:
            if schema != DATASET:
                passed_on = needs_of(summary.reads[table])[name]
                assert passed_on <= needs_of(summary)[column], (
                    f"{summary.name}.{column} is made of {table}.{name} and does not need what that needs; "
                    "declare its needs in the header, [] where it is true whatever is missing"
                )


@pytest.mark.parametrize("summary", all_summaries(), ids=lambda one: one.name)
def test_no_missing_field_empties_a_key_and_each_is_either_named_or_without_effect(summary: Summary) -> None:
    """Over all raw fields that an account may lack, one by one."""
    for field in OPTIONAL:
        unknown = find_unknown_columns(summary, frozenset({field}))
        emptied = [name for name in summary.header.primary_key if name in unknown and unknown[name].is_null]
        assert not emptied, f"{summary.name}: its key {emptied} would be NULL without {field}; add it to `kept`"
        alone = {name for name, needs in needs_of(summary).items() if frozenset({field}) in needs}
        assert alone <= unknown.keys(), (
            f"{summary.name}: {alone - unknown.keys()} need {field} and are shown without it"
        )


def test_lineage_says_what_is_not_declared() -> None:
    unknown = find_unknown_columns(made(), frozenset({("conversions", "coupon_code"), ("conversions", "order_id")}))
    assert {name: (one.lacking, one.is_null) for name, one in unknown.items()} == {
        "coupons": ("coupon_code", True),
        "order_id": ("order_id", False),
    }


def test_a_header_says_it_otherwise() -> None:
    header = 'needs: {coupons: [], "*": conversions.type, approved: conversions.type | conversions.coupon_code}'
    needs = needs_of(made(header))
    assert needs["coupons"] == frozenset()
    assert needs["total"] == frozenset({frozenset({("conversions", "type")})})
    gaps = frozenset({("conversions", "type")})
    assert set(find_unknown_columns(made(header), gaps)) == {"total"}
    assert set(find_unknown_columns(made(header), gaps | {("conversions", "coupon_code")})) == {"total", "approved"}
    assert not is_kept(made(header), "total")
    assert is_kept(made("kept: [total]"), "total")
    assert EVERY not in needs


def test_an_account_may_lack_any_field_but_those_without_which_no_conversion_is_loaded() -> None:
    conversions = {column.name for column in ENTITIES["conversions"].columns}
    needed = {"id", "status", "total", "commission_total", "currency", "created", "vanished_at", "read_at"}
    assert conversions - {column for table, column in OPTIONAL if table == "conversions"} == needed
    assert not is_optional("conversions", "unheard_of")
    assert not is_optional("unheard_of", "id")
    assert is_optional("payments", "id")


def test_a_table_that_is_not_offered_lacks_every_field_and_a_hash_what_it_is_made_of() -> None:
    assert is_lacking(frozenset({("payments", None)}), "payments", "created")
    assert is_lacking(frozenset({("affiliates", "email")}), "affiliates", "email_hash")
    assert not is_lacking(frozenset({("affiliates", "email")}), "affiliates", "name")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("needs:\n  total: conversions.unheard_of", r"orders.sql:9: needs names conversions.unheard_of, which is not"),
        ("needs:\n  total: conversions.updated", r"orders.sql:9: needs names conversions.updated, which neither"),
        ("needs:\n  total: payments.created", r"orders.sql:9: needs names payments.created, which neither"),
        ("needs:\n  nothing: conversions.type", "needs names nothing, which is not a column of the SELECT"),
        ("kept: [nothing]", "kept names nothing, which is not a column of the SELECT"),
    ],
)
def test_a_need_that_nothing_reaches_is_an_error_with_its_line(header: str, said: str) -> None:
    with pytest.raises(SqlFileError, match=said):
        made(header)

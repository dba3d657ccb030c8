"""Summaries as assets: built beside the table there is, and shown."""

from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.summaries.assets import summary_asset
from refersion_dagster.summaries.query import parse
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.summaries.show import markdown_table
from refersion_dagster_tests.location import Outcome, outcome, query

HEADER = """/*
group: proof
description: Numbers.
grain: one row per number
primary_key: [number]
owners: [team:data]
questions:
  - Which numbers?
columns:
  number: A number.
*/

"""
PATH = "sql/numbers.sql"


def build(database: Path, select: str) -> Outcome:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [summary_asset(parse(HEADER + select, PATH))],
            resources={"warehouse": Warehouse(duckdb_path=str(database)), "settings": ReportSettings()},
            instance=instance,
            raise_on_error=False,
        )
        return outcome(instance, result.run_id)


def test_the_table_holds_what_the_query_gives_and_the_asset_shows_it(tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    told = build(database, "SELECT unnest(range(12)) AS number, CAST('1.5' AS DECIMAL(18, 4)) AS amount")
    assert told.success, told.failure
    assert query(database, "SELECT count(*), sum(amount) FROM refersion_summaries.numbers") == [(12, Decimal(18))]
    shown = told.metadata["summaries/numbers"]
    assert shown["dagster/row_count"] == 12
    columns = shown["dagster/column_schema"].columns
    assert [(column.name, column.type, column.description) for column in columns] == [
        ("number", "bigint", "A number."),
        ("amount", "decimal(18,4)", None),
    ]
    assert len(shown["preview"].splitlines()) == 2 + 10


def test_a_query_that_fails_says_file_and_line_and_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    assert build(database, "SELECT 1 AS number").success
    told = build(database, "SELECT CAST(CAST(unnest(['7', 'seven']) AS INTEGER) AS BIGINT) AS number")
    assert not told.success
    assert told.failure.startswith(
        f"{PATH}:12: the query failed, and refersion_summaries.numbers is as it was: Conversion Error"
    )
    assert "Stack Trace" not in told.failure
    assert query(database, "SELECT number FROM refersion_summaries.numbers") == [(1,)]


def test_a_raw_table_that_was_never_loaded_is_told_with_what_to_do(tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    told = build(database, "SELECT id AS number FROM refersion_data.conversions")
    assert not told.success
    assert f"{PATH}:12: " in told.failure
    assert "materialise refersion/conversions first" in told.failure


class TestMarkdownTable:
    def test_is_a_line_of_names_a_line_of_dashes_and_a_line_each_row(self) -> None:
        assert markdown_table(["a", "b"], [(1, None), (Decimal("2.50"), "x")]) == (
            "| a | b |\n| --- | --- |\n| 1 |  |\n| 2.50 | x |"
        )

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("<script>", "&#60;script&#62;"),
            ("a | b", "a &#124; b"),
            ("two\nlines", "two lines"),
            ("two\r\nlines", "two lines"),
            ("two\u2028lines", "two lines"),
            ("&lt;", "&#38;lt;"),
            ("[click](javascript:x)", "&#91;click&#93;&#40;javascript:x&#41;"),
            ("`code` *bold* first_order_at", "&#96;code&#96; &#42;bold&#42; first_order_at"),
            ("a\\| b", "a&#92;&#124; b"),
            ("Ånna O'Néil-小林, =1+1", "Ånna O'Néil-小林, =1+1"),
        ],
    )
    def test_makes_cells_harmless(self, value: str, shown: str) -> None:
        assert markdown_table(["name"], [(value,)]).splitlines()[2] == f"| {shown} |"

    def test_makes_names_harmless_too(self) -> None:
        assert markdown_table(["<b>|"], []).splitlines()[0] == "| &#60;b&#62;&#124; |"

"""Summaries as assets: built beside the table there is, and shown."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlglot import exp
from sqlglot.lineage import lineage

from refersion_dagster.ingest.gaps import TABLE as GAPS
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.assets import summary_asset, summary_assets
from refersion_dagster.summaries.lineage import column_sources, deciding_sources
from refersion_dagster.summaries.markdown import markdown_table
from refersion_dagster.summaries.query import RAW_COLUMNS, load_summaries, parse, sort_by_dependency
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster_tests.location import Outcome, fresh_instance, outcome, query

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


def materialise(database: Path, select: str, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        summary_assets(sort_by_dependency([parse(HEADER + select, PATH)])),
        resources={"warehouse": Warehouse(duckdb_path=str(database)), "settings": ReportSettings()},
        instance=instance,
        raise_on_error=False,
    )


def build(database: Path, select: str) -> Outcome:
    with fresh_instance() as instance:
        return outcome(instance, materialise(database, select, instance).run_id)


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
    # Whoever looks at the table with another program reads there what it means.
    described = "SELECT comment FROM duckdb_tables() UNION ALL SELECT comment FROM duckdb_columns() WHERE NOT internal"
    assert [text for (text,) in query(database, described) if text] == ["Numbers.", "A number."]


def test_a_query_that_fails_says_file_and_line_and_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    assert build(database, "SELECT 1 AS number").success
    told = build(database, "SELECT CAST(CAST(unnest(['7', 'seven']) AS INTEGER) AS BIGINT) AS number")
    assert not told.success
    assert told.failure.startswith(
        f"{PATH}:13: the query failed, and refersion_summaries.numbers is unchanged: Conversion Error"
    )
    assert "Stack Trace" not in told.failure
    assert query(database, "SELECT number FROM refersion_summaries.numbers") == [(1,)]


def test_a_raw_table_that_was_never_loaded_is_told_with_what_to_do(tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    told = build(database, "SELECT id AS number FROM refersion_data.conversions")
    assert not told.success
    assert f"{PATH}:13: " in told.failure
    assert "materialise refersion/conversions first" in told.failure


class TestVersion:
    def test_another_select_is_another_version_and_another_description_is_not(self) -> None:
        first, same, other = (
            summary_asset(one, [one]).get_asset_spec().code_version
            for one in (
                parse(HEADER + "SELECT 1 AS number", PATH),
                parse(HEADER.replace("Numbers.", "Some numbers.") + "SELECT 1 AS number", PATH),
                parse(HEADER + "SELECT 2 AS number", PATH),
            )
        )
        assert first == same != other


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


def test_a_column_that_an_account_does_not_offer_is_shown_as_not_known(tmp_path: Path) -> None:
    database = tmp_path / "warehouse.duckdb"
    select = "SELECT CAST(id AS BIGINT) AS number, coupon_code FROM refersion_data.conversions"
    query(database, "CREATE SCHEMA refersion_data")
    query(database, "CREATE TABLE refersion_data.conversions AS SELECT '7' AS id, '' AS coupon_code")
    assert "columns_not_known" not in build(database, select).metadata["summaries/numbers"]
    query(
        database,
        f"CREATE TABLE refersion_data.{GAPS} AS SELECT 'conversions' AS table_name, 'coupon_code' AS column_name",
    )
    told = build(database, select)
    lacking = "coupon_code"
    assert told.metadata["summaries/numbers"]["columns_not_known"] == {
        "coupon_code": f"not known on this account: {lacking}"
    }
    warning = f"numbers: coupon_code are not known because this account does not offer {lacking}."
    assert warning in told.log
    assert query(database, "SELECT number, coupon_code FROM refersion_summaries.numbers") == [(7, None)]


class TestPrimaryKey:
    @pytest.mark.parametrize("numbers", ["['1', '2', '1']", "['1', NULL]"])
    def test_that_is_not_unique_or_missing_fails_its_check_and_leaves_the_table_as_it_was(
        self, tmp_path: Path, numbers: str
    ) -> None:
        database = tmp_path / "warehouse.duckdb"
        assert build(database, "SELECT 7 AS number").success
        told = build(database, f"SELECT CAST(unnest({numbers}) AS BIGINT) AS number")
        assert not told.success
        assert f"{PATH}:13: keys (number) are missing or duplicated" in told.failure
        assert query(database, "SELECT number FROM refersion_summaries.numbers") == [(7,)]
        assert query(database, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'refersion_summaries'") == [
            ("numbers",)
        ]

    @pytest.mark.parametrize(
        ("numbers", "passed", "name", "shown"),
        [
            ("[1, 2, 1]", False, "offending_keys", "| number | rows |\n| --- | --- |\n| 1 | 2 |"),
            ("[1, 2]", True, "rows", 2),
        ],
        ids=["twice", "once"],
    )
    def test_is_checked_and_the_check_shows_which_keys_are_there_twice(
        self, tmp_path: Path, numbers: str, passed: bool, name: str, shown: Any
    ) -> None:
        with fresh_instance() as instance:
            made = materialise(tmp_path / "warehouse.duckdb", f"SELECT unnest({numbers}) AS number", instance)
            (found,) = made.get_asset_check_evaluations()
        assert (found.check_name, found.passed) == ("primary_key", passed)
        assert found.metadata[name].value == shown


class TestLineage:
    def test_of_every_summary_leads_to_columns_that_exist(self) -> None:
        summaries = load_summaries()
        known = {("refersion_data", table): columns for table, columns in RAW_COLUMNS.items()}
        known |= {("refersion_summaries", summary.name): summary.columns for summary in summaries}
        for summary in summaries:
            found = column_sources(summary, summaries)
            assert found.keys() == set(summary.columns)
            for column, sources in found.items():
                for schema, table, name in sources:
                    assert name in known[schema, table], f"{summary.name}.{column}"

    def test_follows_a_column_through_its_parts(self) -> None:
        select = (
            "WITH part AS (SELECT id, total + commission_total AS both FROM refersion_data.conversions)\n"
            "SELECT p.id AS number, p.both AS amount, 1 AS one FROM part AS p"
        )
        (summary,) = sort_by_dependency([parse(HEADER + select, PATH)])
        assert column_sources(summary, []) == {
            "number": [("refersion_data", "conversions", "id")],
            "amount": [
                ("refersion_data", "conversions", "commission_total"),
                ("refersion_data", "conversions", "total"),
            ],
            "one": [],
        }

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("name", ["affiliates", "conversions", "commission_daily"])
    def test_is_what_sqlglot_finds_by_the_longer_way(self, name: str) -> None:
        summaries = load_summaries()
        summary = next(one for one in summaries if one.name == name)
        schema: dict[str, Any] = {
            DATASET: {table: dict.fromkeys(columns, "text") for table, columns in RAW_COLUMNS.items()},
            SUMMARIES: {one.name: dict.fromkeys(one.columns, "text") for one in summaries},
        }
        found = column_sources(summary, summaries)
        for column in summary.columns:
            ends = [
                (node.expression, node.name.rpartition(".")[2].strip('"'))
                for node in lineage(column, summary.file.tree, schema=schema, dialect="duckdb").walk()
                if not node.downstream
            ]
            expected = {(table.db, table.name, name) for table, name in ends if isinstance(table, exp.Table)}
            assert found[column] == sorted(expected), column

    def test_of_conditions_is_what_decides_which_rows_there_are(self) -> None:
        """Of a check, that is what it compares, and neither what it shows nor what it groups by."""
        select = """
            WITH orders AS (SELECT id, affiliate_id, total AS amount, order_id FROM refersion_data.conversions)
            SELECT o.id AS number, o.order_id, a.email FROM orders AS o
            JOIN refersion_data.affiliates AS a ON a.id = o.affiliate_id
            WHERE a.status = 'ACTIVE' GROUP BY ALL HAVING sum(o.amount) < 0
        """
        (summary,) = sort_by_dependency([parse(HEADER + select, PATH)])
        assert deciding_sources(summary.file.tree, summary.depends_on, []) == {
            (DATASET, "affiliates", "id"),
            (DATASET, "affiliates", "status"),
            (DATASET, "conversions", "affiliate_id"),
            (DATASET, "conversions", "total"),
        }

    def test_that_cannot_be_followed_does_not_fail_the_asset(self, tmp_path: Path) -> None:
        told = build(tmp_path / "warehouse.duckdb", "SELECT number FROM generate_series(1, 3) AS g(number)")
        assert told.success, told.failure

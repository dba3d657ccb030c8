"""SQL for other databases: the constructs that a dialect allows, and the databases that the settings name."""

from __future__ import annotations

import pytest
from sqlglot import exp

from refersion_dagster.checks.query import load_checks
from refersion_dagster.report.commissions.queries import queries
from refersion_dagster.settings import WarehouseSettings
from refersion_dagster.settings.values import InvalidSetting
from refersion_dagster.summaries.query import list_tables
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.dialects.databricks import DatabricksDialect
from refersion_dagster.warehouse.dialects.dialect import DUCKDB, Dialect, UntestedSql, constructs_of
from refersion_dagster.warehouse.dialects.redshift import RedshiftDialect
from refersion_dagster.warehouse.dialects.snowflake import SnowflakeDialect
from refersion_dagster.warehouse.registry import DATABASES, DIALECTS
from refersion_dagster.warehouse.sql import bind, parse
from refersion_dagster_tests.summaries.builders import all_summaries

SELECT = "SELECT round(total, 2) AS total, strange(id) AS kind, CAST(id AS DECIMAL(18, 4)) AS number FROM a.b"


# Dialects for which an engine, or a relative of it, has executed all statements.
EXECUTED = (BigQueryDialect(), DatabricksDialect(), RedshiftDialect(), SnowflakeDialect())
# Settings, and parameters whose values are read from the database.
VALUES = {
    **ReportSettings().parameters(),
    **dict.fromkeys(("control_interpretation", "not_settled", "not_offered", "control_totals_currency", "month")),
}


class NarrowDialect(Dialect):
    name = "bigquery"
    constructs = constructs_of(parse(SELECT))


def test_constructs_name_functions_and_types() -> None:
    assert constructs_of(parse(SELECT)) >= {"Round", "strange()", "DataType DECIMAL", "Cast"}


def test_what_was_executed_is_written() -> None:
    assert NarrowDialect().write(parse(SELECT)).startswith("SELECT ROUND(total, 2) AS total")


@pytest.mark.parametrize(
    ("select", "untested"),
    [
        ("SELECT median(total) AS total FROM a.b", "Median"),
        ("SELECT other(id) AS kind FROM a.b", r"other\(\)"),
        ("SELECT CAST(id AS DATE) AS day FROM a.b", "DataType DATE"),
    ],
)
def test_anything_else_is_refused_by_its_name(select: str, untested: str) -> None:
    with pytest.raises(UntestedSql, match=f"uses {untested}, which was never tested in the dialect bigquery"):
        NarrowDialect().write(parse(select))


def test_duckdb_gets_the_statement_as_it_is() -> None:
    assert DUCKDB.write(parse("SELECT a // b AS c FROM d.e -- why")) == "SELECT a // b AS c FROM d.e"


def test_the_settings_know_the_registered_databases_and_no_other() -> None:
    variable = WarehouseSettings.variable("destination")
    for name in DATABASES:
        assert WarehouseSettings.of({variable: name}).destination == name
    with pytest.raises(InvalidSetting) as refused:
        WarehouseSettings.of({variable: "oracle"})
    named = [name for name in DATABASES if name in str(refused.value)]
    assert set(DATABASES) - set(named) <= {"postgresql"}


def test_each_database_has_a_dialect() -> None:
    assert DIALECTS.keys() == DATABASES.keys()
    assert {dialect for dialect in DIALECTS.values() if dialect.constructs is not None} == set(EXECUTED)


@pytest.mark.parametrize("dialect", EXECUTED)
@pytest.mark.parametrize(
    ("expression", "untested"),
    [
        ("median(total)", "Median"),
        ("strange(total)", r"strange\(\)"),
        ("date_trunc('quarter', day)", "Var QUARTER"),
        ("regexp_matches(a, 'b')", "RegexpLike"),
        ("CAST(a AS FLOAT)", "DataType FLOAT"),
        ("[a, b]", "Array"),
    ],
)
def test_a_construct_that_no_engine_executed_is_refused(dialect: Dialect, expression: str, untested: str) -> None:
    summary = f"WITH found AS (SELECT {expression} AS x FROM refersion_data.conversions) SELECT x FROM found"
    with pytest.raises(UntestedSql, match=f"uses {untested}, which was never tested in the dialect {dialect.name}"):
        dialect.write(parse(summary))


@pytest.mark.parametrize("dialect", EXECUTED)
def test_every_file_is_allowed(dialect: Dialect) -> None:
    summaries = all_summaries()
    checks = load_checks(list_tables(summary.name for summary in summaries))
    files: list[exp.Expr] = [one.file.tree for one in (*summaries, *checks)]
    files += [file.tree for file in queries().values()]
    assert len(files) > 50
    for tree in files:
        names = {node.name: VALUES.get(node.name) for node in tree.find_all(exp.Placeholder)}
        assert dialect.write(bind(tree, names))

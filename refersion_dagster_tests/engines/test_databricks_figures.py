"""Every statement of the package in Spark in ANSI mode, whose SQL is Databricks'.

The rows are the same as in DuckDB, to the last digit and with the same types, in two time zones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlglot import exp

from refersion_dagster.warehouse.dialects.databricks import DatabricksDialect
from refersion_dagster.warehouse.sql import parse
from refersion_dagster_tests.engines.comparison import difference, differences, executed_constructs
from refersion_dagster_tests.engines.engine import Engine, started
from refersion_dagster_tests.engines.evaluated_account import SETTINGS, Evaluated, Loaded, case_names, export

pytestmark = pytest.mark.warehouses

# Known differences between databases, for values that the account does not contain.
EXPRESSIONS = (
    "CAST(CAST(0 AS DECIMAL(38, 10)) AS TEXT)",
    "CAST(CAST(5 AS DECIMAL(18, 2)) AS TEXT)",
    r"'\N it''s \\ 100% \u0041'",
    "trim(' \tx\n ')",
    "upper('straße')",
    "lower('ΟΔΟΣ İI')",
    "concat_ws('; ', NULL, 'a', NULL, 'b')",
    "concat_ws('; ', NULL, NULL)",
    "concat('x', NULL, 'y')",
    "greatest(NULL, 1, 2)",
    "split_part('a;b', ';', 3)",
    "CAST('2025-03-09 02:30:00' AS TIMESTAMP) AT TIME ZONE 'America/New_York'",
    "CAST('2025-11-02 05:30:00+00' AS TIMESTAMPTZ) AT TIME ZONE 'America/New_York'",
    "date_trunc('week', CAST('2024-12-15 05:00:00' AS TIMESTAMP))",
    "CAST(CAST(7 AS DECIMAL(38, 4)) / 3 AS DECIMAL(38, 12))",
    "CAST(CAST(CAST('123456789012.3456' AS DECIMAL(38, 4)) AS DECIMAL(28, 4)) * CAST('0.123456' AS DECIMAL(18, 6)) "
    "AS DECIMAL(38, 10))",
    "CAST(CAST('2.5' AS DECIMAL(18, 4)) AS BIGINT)",
    "CAST(extract(epoch FROM CAST('2025-01-01 00:00:00.523456+00' AS TIMESTAMPTZ)) AS BIGINT)",
    "CAST('2025-01-31' AS TIMESTAMP) + INTERVAL '1' MONTH",
    "NULL IS DISTINCT FROM 1",
    "'Z' < 'a'",
    "'x' = 'x '",
    "length('ä😀')",
    "s.place FROM refersion_data._account CROSS JOIN LATERAL generate_series(3, 2) AS s(place)",
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY length(id)) FROM refersion_data.affiliates WHERE id IS NULL",
)


class AnyConstruct(DatabricksDialect):
    """Databricks' dialect without the restriction to tested constructs."""

    constructs = None


ANY = AnyConstruct()


@pytest.fixture(scope="module")
def spark() -> Iterator[Engine]:
    with started("spark") as engine:
        yield engine


@pytest.mark.parametrize("case", case_names())
@pytest.mark.parametrize("zone", SETTINGS)
def test_a_file_gives_the_same(spark: Engine, accounts: dict[str, Evaluated], case: str, zone: str) -> None:
    account = accounts[zone]
    assert difference(spark, ANY, account.database, account.tables, account.named[case]) == ""


@pytest.mark.parametrize("zone", SETTINGS)
def test_so_does_whatever_else_is_asked(spark: Engine, accounts: dict[str, Evaluated], zone: str) -> None:
    account = accounts[zone]
    assert len(account.others) > 20
    assert differences(spark, ANY, account.database, account.tables, account.others) == {}


@pytest.fixture(scope="module")
def between(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(loaded.between, tmp_path_factory.mktemp("between") / "tables")


def test_so_does_what_a_load_asks_and_records(spark: Engine, loaded: Loaded, between: Path) -> None:
    assert len(loaded.statements) > 50
    assert differences(spark, ANY, loaded.between, between, loaded.statements) == {}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_so_does_an_expression(spark: Engine, loaded: Loaded, between: Path, expression: str) -> None:
    table = "" if " FROM refersion_data." in expression else " FROM (SELECT 1 AS one) AS t"
    tree = parse(f"SELECT {expression}{table}")
    assert difference(spark, ANY, loaded.between, between, tree) == ""


def test_changes_of_rows_have_one_subquery_at_most(loaded: Loaded) -> None:
    """Databricks cannot change rows of Delta tables with nested subqueries. Spark without Delta does not detect it."""
    changes = [ANY.fit(tree.copy()) for tree in loaded.statements.values() if isinstance(tree, exp.Update | exp.Delete)]
    assert {type(change) for change in changes} == {exp.Update, exp.Delete, exp.Merge}
    for change in changes:
        if where := change.args.get("where"):
            selects = list(where.find_all(exp.Select))
            assert not [one for one in selects if one.find_ancestor(exp.Select) in selects]


def test_the_dialect_allows_what_was_executed_here_and_nothing_else(
    loaded: Loaded, accounts: dict[str, Evaluated]
) -> None:
    assert executed_constructs(loaded, accounts.values()) == DatabricksDialect.constructs

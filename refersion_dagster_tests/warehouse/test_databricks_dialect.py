"""SQL for Databricks: constructs with a different result there are rewritten, and untested ones are refused."""

from __future__ import annotations

import pytest

from refersion_dagster.warehouse.dialects.databricks import DatabricksDialect
from refersion_dagster.warehouse.dialects.dialect import UntestedSql
from refersion_dagster.warehouse.sql import parse

DATABRICKS = DatabricksDialect()


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("a / nullif(b, 0)", "CAST(a AS DECIMAL(30, 12)) / NULLIF(b, 0)"),
        ("CAST(a AS DECIMAL(38, 4)) / 3", "CAST(CAST(a AS DECIMAL(38, 4)) AS DECIMAL(30, 12)) / 3"),
        ("CAST(a AS DECIMAL(28, 4)) * b", "CAST(a AS DECIMAL(19, 4)) * b"),
        ("CAST(a AS DECIMAL(18, 6)) * b", "CAST(a AS DECIMAL(18, 6)) * b"),
        ("CAST(CAST(a AS BIGINT) AS TEXT)", "CAST(CAST(CAST(a AS DECIMAL(38, 0)) AS BIGINT) AS STRING)"),
        ("concat_ws('; ', a, b)", "CONCAT_WS('; ', a, b)"),
        ("concat('x', a)", "CONCAT('x', COALESCE(a, ''))"),
        ("upper(a)", "UPPER(REPLACE(a, 'ß', 'ẞ'))"),
        ("a AT TIME ZONE 'UTC'", "CONVERT_TIMEZONE('UTC', 'UTC', CAST(a AS TIMESTAMP_NTZ))"),
        (
            "date_trunc('month', a AT TIME ZONE 'UTC')",
            "CAST(DATE_TRUNC('MONTH', CONVERT_TIMEZONE('UTC', 'UTC', CAST(a AS TIMESTAMP_NTZ))) AS TIMESTAMP_NTZ)",
        ),
        (
            "(CAST(a AS TIMESTAMP) + INTERVAL '1' MONTH) AT TIME ZONE 'Asia/Tokyo'",
            "CAST(CONVERT_TIMEZONE('Asia/Tokyo', 'UTC', (CAST(a AS TIMESTAMP_NTZ) + INTERVAL '1' MONTH)) AS TIMESTAMP)",
        ),
        ("extract(epoch FROM a)", "(CAST(UNIX_MICROS(a) AS DECIMAL(20, 0)) / 1000000)"),
        (
            "percentile_disc(0.5) WITHIN GROUP (ORDER BY a)",
            "TRY_ELEMENT_AT(SORT_ARRAY(COLLECT_LIST(a)), GREATEST(CAST(CEIL(0.5 * COUNT(a)) AS INT), 1))",
        ),
        (r"'\N it''s'", r"'\\N it\'s'"),
    ],
)
def test_an_expression_means_the_same(expression: str, written: str) -> None:
    assert DATABRICKS.write(parse(f"SELECT {expression} AS x FROM t")) == f"SELECT {written} AS x FROM t"


def test_a_series_that_ends_before_it_begins_has_no_rows() -> None:
    select = """
    SELECT CAST(s.moment AS DATE) AS month FROM t
    CROSS JOIN LATERAL generate_series(t.a, t.b, INTERVAL '1' MONTH) AS s(moment)
    """
    assert DATABRICKS.write(parse(select)) == (
        "SELECT CAST(s.moment AS DATE) AS month FROM t CROSS JOIN LATERAL "
        "EXPLODE(CASE WHEN CAST(t.a AS DATE) <= CAST(t.b AS DATE) "
        "THEN SEQUENCE(CAST(t.a AS DATE), CAST(t.b AS DATE), INTERVAL '1' MONTH) ELSE ARRAY() END) AS s(moment)"
    )


def test_rows_are_changed_by_those_of_another_table_with_merge() -> None:
    update = "UPDATE a.b AS h SET x = f.x FROM (SELECT id, x FROM a.c) AS f WHERE h.id = f.id"
    assert DATABRICKS.write(parse(update)) == (
        "MERGE INTO a.b AS h USING (SELECT id, x FROM a.c) AS f ON h.id = f.id WHEN MATCHED THEN UPDATE SET x = f.x"
    )


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("CAST(amount AS TEXT)", "makes a text of amount"),
        (r"a LIKE 'a\c'", "a pattern is a text without"),
        ("a LIKE b", "a pattern is a text without"),
        ("median(total)", "uses Median, which was never tested in the dialect databricks"),
        ("date_trunc('quarter', day)", "Var QUARTER"),
    ],
)
def test_anything_else_is_refused(expression: str, said: str) -> None:
    with pytest.raises(UntestedSql, match=said):
        DATABRICKS.write(parse(f"SELECT {expression} AS x FROM t"))


def test_a_series_of_hours_is_refused() -> None:
    select = "SELECT s.at AS at FROM t CROSS JOIN LATERAL generate_series(t.a, t.b, INTERVAL '1' HOUR) AS s(at)"
    with pytest.raises(UntestedSql, match="they are of days or months"):
        DATABRICKS.write(parse(select))

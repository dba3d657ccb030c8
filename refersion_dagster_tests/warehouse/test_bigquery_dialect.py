"""SQL for BigQuery: constructs with a different result there are rewritten, and untested ones are refused."""

from __future__ import annotations

import pytest

from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.dialects.dialect import UntestedSql
from refersion_dagster.warehouse.sql import parse

BIGQUERY = BigQueryDialect()


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("CAST(a AS DECIMAL(38, 4))", "ROUND(CAST(a AS BIGNUMERIC), 4)"),
        ("a / nullif(b, 0)", "CAST(a AS BIGNUMERIC) / NULLIF(b, 0)"),
        ("a * 0.8", "a * CAST('0.8' AS BIGNUMERIC)"),
        ("CAST(CAST(a AS DECIMAL(18, 2)) AS TEXT)", "FORMAT('%.2f', ROUND(CAST(a AS BIGNUMERIC), 2))"),
        ("CAST(CAST(a AS BIGINT) AS TEXT)", "CAST(CAST(a AS INT64) AS STRING)"),
        ("concat('x', a)", "CONCAT('x', COALESCE(a, ''))"),
        ("concat_ws('; ', a, b)", "ARRAY_TO_STRING([a, b], '; ')"),
        ("greatest(a, b)", "COALESCE(GREATEST(a, b), a, b)"),
        ("trim(a)", "TRIM(a, ' ')"),
        ("upper(a)", "UPPER(REPLACE(a, 'ß', 'ẞ'))"),
        ("lower(a)", "LOWER(REPLACE(REPLACE(a, 'Σ', 'σ'), 'İ', 'i'))"),
        ("date_trunc('week', a)", "DATE_TRUNC(a, WEEK(MONDAY))"),
        ("a AT TIME ZONE 'UTC'", "DATETIME(a, 'UTC')"),
        (
            "(CAST(a AS TIMESTAMP) + INTERVAL '1' MONTH) AT TIME ZONE 'UTC'",
            "TIMESTAMP((CAST(a AS DATETIME) + INTERVAL 1 MONTH), 'UTC')",
        ),
        ("extract(epoch FROM a)", "(CAST(UNIX_MICROS(a) AS BIGNUMERIC) / 1000000)"),
        ("lag(a) OVER (ORDER BY b, c DESC)", "LAG(a) OVER (ORDER BY (b) IS NULL ASC, b ASC, c DESC)"),
        (
            "sum(a) OVER (ORDER BY b RANGE BETWEEN 84 PRECEDING AND 7 PRECEDING)",
            "SUM(a) OVER (ORDER BY b ASC RANGE BETWEEN 84 PRECEDING AND 7 PRECEDING)",
        ),
        ("a IS DISTINCT FROM b", "a IS DISTINCT FROM b"),
        (r"'\N it''s'", r"'\\N it\'s'"),
    ],
)
def test_an_expression_means_the_same(expression: str, written: str) -> None:
    assert BIGQUERY.write(parse(f"SELECT {expression} AS x FROM t")) == f"SELECT {written} AS x FROM t"


def test_a_part_of_a_text_is_empty_where_there_are_fewer_and_unknown_of_no_text() -> None:
    assert BIGQUERY.write(parse("SELECT split_part(a, ';', 2) AS x FROM t")) == (
        "SELECT CASE WHEN a IS NULL OR ';' IS NULL THEN NULL ELSE "
        "COALESCE(SPLIT(a, ';')[SAFE_ORDINAL(2)], '') END AS x "
        "FROM t"
    )


def test_a_series_of_months_is_an_array_of_days() -> None:
    select = """
    SELECT CAST(s.moment AS DATE) AS month FROM t
    CROSS JOIN LATERAL generate_series(t.a, t.b, INTERVAL '1' MONTH) AS s(moment)
    """
    assert BIGQUERY.write(parse(select)) == (
        "SELECT CAST(s AS DATE) AS month FROM t CROSS JOIN "
        "UNNEST(GENERATE_DATE_ARRAY(CAST(t.a AS DATE), CAST(t.b AS DATE), INTERVAL 1 MONTH)) AS s"
    )


def test_a_series_of_hours_is_refused() -> None:
    select = "SELECT s.at AS at FROM t CROSS JOIN LATERAL generate_series(t.a, t.b, INTERVAL '1' HOUR) AS s(at)"
    with pytest.raises(UntestedSql, match="they are of days or months"):
        BIGQUERY.write(parse(select))


def test_the_text_of_something_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(UntestedSql, match="makes a text of amount"):
        BIGQUERY.write(parse("SELECT CAST(amount AS TEXT) AS x FROM t"))

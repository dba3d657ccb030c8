"""SQL for Snowflake: constructs with a different result there are rewritten, and untested ones are refused."""

from __future__ import annotations

import pytest

from refersion_dagster.warehouse.dialects.dialect import UntestedSql
from refersion_dagster.warehouse.dialects.snowflake import SnowflakeDialect
from refersion_dagster.warehouse.sql import parse

SNOWFLAKE = SnowflakeDialect()


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("a / nullif(b, 0)", "CAST(a AS DECIMAL(38, 12)) / NULLIF(b, 0)"),
        ("a * 0.8", "a * 0.8"),
        ("CAST(CAST(a AS DECIMAL(18, 2)) AS TEXT)", "CAST(CAST(a AS DECIMAL(18, 2)) AS VARCHAR)"),
        ("CAST(CAST(a AS DATE) AS TEXT)", "TO_VARCHAR(CAST(a AS DATE), 'YYYY-MM-DD')"),
        (
            "CAST(date_trunc('second', a) AS TEXT)",
            "TO_VARCHAR(DATE_TRUNC('SECOND', a), 'YYYY-MM-DD HH24:MI:SS')",
        ),
        ("concat('x', a)", "CONCAT('x', COALESCE(a, ''))"),
        (
            "concat_ws('; ', a, b)",
            "SUBSTRING(CONCAT(COALESCE(CONCAT('; ', a), ''), COALESCE(CONCAT('; ', b), '')), 3)",
        ),
        ("greatest(a, b)", "GREATEST_IGNORE_NULLS(a, b)"),
        ("least(a, b)", "LEAST_IGNORE_NULLS(a, b)"),
        ("upper(a)", "UPPER(REPLACE(a, 'ß', 'ẞ'))"),
        ("lower(a)", "LOWER(REPLACE(REPLACE(a, 'Σ', 'σ'), 'İ', 'i'))"),
        ("CAST(a AS TIMESTAMPTZ)", "CAST(a AS TIMESTAMPLTZ)"),
        ("a AT TIME ZONE 'UTC'", "CAST(CONVERT_TIMEZONE('UTC', a) AS TIMESTAMPNTZ)"),
        (
            "(CAST(a AS TIMESTAMP) + INTERVAL '1' MONTH) AT TIME ZONE 'Asia/Tokyo'",
            "CAST(CONVERT_TIMEZONE('Asia/Tokyo', 'UTC', (CAST(a AS TIMESTAMPNTZ) + INTERVAL '1 MONTH')) "
            "AS TIMESTAMPLTZ)",
        ),
        ("extract(epoch FROM a)", "(CAST(DATE_PART('EPOCH_MICROSECOND', a) AS DECIMAL(38, 12)) / 1000000)"),
        ("lag(a) OVER (ORDER BY b, c DESC)", "LAG(a) OVER (ORDER BY b, c DESC NULLS LAST)"),
        (
            "string_agg(a, ', ' ORDER BY a)",
            "CASE WHEN COUNT(a) > 0 THEN LISTAGG(a, ', ') WITHIN GROUP (ORDER BY a) END",
        ),
        ("percentile_disc(0.5) WITHIN GROUP (ORDER BY a)", "PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY a)"),
        ("a IS DISTINCT FROM b", "a IS DISTINCT FROM b"),
        (r"'\N it''s'", r"'\\N it\'s'"),
        ('"order"', '"ORDER"'),
        ('"My name"', '"My name"'),
    ],
)
def test_an_expression_means_the_same(expression: str, written: str) -> None:
    assert SNOWFLAKE.write(parse(f"SELECT {expression} AS x FROM t")) == f"SELECT {written} AS x FROM t"


def test_a_series_of_months_is_counted_by_those_that_are_over() -> None:
    select = """
    SELECT CAST(s.moment AS DATE) AS month FROM t
    CROSS JOIN LATERAL generate_series(t.a, t.b, INTERVAL '1' MONTH) AS s(moment)
    """
    assert SNOWFLAKE.write(parse(select)) == (
        "SELECT CAST(DATEADD(MONTH, CAST(s.value AS BIGINT), t.a) AS DATE) AS month FROM t CROSS JOIN LATERAL "
        "FLATTEN(INPUT => ARRAY_GENERATE_RANGE(0, DATEDIFF(MONTH, t.a, t.b) - CASE WHEN "
        "DATEADD(MONTH, DATEDIFF(MONTH, t.a, t.b), t.a) > t.b THEN 1 ELSE 0 END + 1)) AS s"
    )


def test_a_table_that_is_changed_goes_by_its_own_name() -> None:
    update = "UPDATE a.b AS h SET c = f.c FROM d AS f WHERE h.id = f.id"
    assert SNOWFLAKE.write(parse(update)) == "UPDATE a.b SET c = f.c FROM d AS f WHERE b.id = f.id"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("CAST(amount AS TEXT)", "makes a text of amount"),
        ("CAST(CAST(a AS TIMESTAMP) AS TEXT)", "cut it to seconds"),
        ("CAST(date_trunc('hour', a) AS TEXT)", "cut it to seconds"),
        ("concat_ws(a, b, c)", "The separator a"),
    ],
)
def test_a_text_that_databases_write_otherwise_is_refused(expression: str, said: str) -> None:
    with pytest.raises(UntestedSql, match=said):
        SNOWFLAKE.write(parse(f"SELECT {expression} AS x FROM t"))


@pytest.mark.parametrize("step", ["INTERVAL '1' HOUR", "INTERVAL '2' DAY"])
def test_a_series_of_something_else_is_refused(step: str) -> None:
    select = f"SELECT s.at AS at FROM t CROSS JOIN LATERAL generate_series(t.a, t.b, {step}) AS s(at)"
    with pytest.raises(UntestedSql, match="they are of days or months"):
        SNOWFLAKE.write(parse(select))

"""PostgreSQL in the place of Redshift, which descends from PostgreSQL 8.0. It shows that SQL runs and means the same.

PostgreSQL is not Redshift: it keeps more digits in quotients, runs queries that Redshift cannot plan, and compares
blanks at the end of texts. Functions of Redshift that it lacks are defined here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import psycopg2

from refersion_dagster_tests.engines.result import comparable
from refersion_dagster_tests.postgres import PostgresDatabase

# The same case conversion as in DuckDB, and dates that are cut without a time zone.
FUNCTIONS = """
CREATE SCHEMA redshift;
CREATE FUNCTION redshift.getdate() RETURNS timestamp STABLE LANGUAGE sql AS $$
  SELECT pg_catalog.date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC') $$;
CREATE FUNCTION redshift.dateadd(unit text, amount bigint, moment timestamp) RETURNS timestamp
  IMMUTABLE LANGUAGE sql AS $$ SELECT moment + amount * ('1 ' || unit)::interval $$;
CREATE FUNCTION redshift.datediff(unit text, since timestamp, until timestamp) RETURNS bigint
  IMMUTABLE LANGUAGE sql AS $$
  SELECT CASE lower(unit)
    WHEN 'day' THEN until::date - since::date
    WHEN 'microsecond' THEN extract(epoch FROM until - since) * 1000000
  END $$;
CREATE FUNCTION redshift.date_trunc(unit text, day date) RETURNS timestamp IMMUTABLE LANGUAGE sql AS $$
  SELECT pg_catalog.date_trunc(unit, day::timestamp) $$;
CREATE FUNCTION redshift.date_trunc(unit text, moment timestamp) RETURNS timestamp IMMUTABLE LANGUAGE sql AS $$
  SELECT pg_catalog.date_trunc(unit, moment) $$;
CREATE FUNCTION redshift.date_trunc(unit text, moment timestamptz) RETURNS timestamptz STABLE LANGUAGE sql AS $$
  SELECT pg_catalog.date_trunc(unit, moment) $$;
CREATE FUNCTION redshift.upper(value text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
  SELECT pg_catalog.upper(value COLLATE "pg_c_utf8") COLLATE "C" $$;
CREATE FUNCTION redshift.lower(value text) RETURNS text IMMUTABLE LANGUAGE sql AS $$
  SELECT pg_catalog.lower(value COLLATE "pg_c_utf8") COLLATE "C" $$;
"""
# A backslash is an escape character in Redshift's texts.
SETTINGS = {"standard_conforming_strings": "off", "escape_string_warning": "off"}
KEYS = re.compile(r" (DISTKEY|SORTKEY)\b")
UNITS = re.compile(r"\b(DATEADD|DATEDIFF)\((\w+),")
CALLS = re.compile(r"(?<!redshift\.)\b(DATEADD|DATEDIFF|DATE_TRUNC|GETDATE|UPPER|LOWER)\(")
LIST = re.compile(r"LISTAGG\((?P<value>.*?), (?P<separator>'[^']*')\) WITHIN GROUP \((?P<order>ORDER BY [^()]*)\)")
TYPES = {
    16: "bool",
    20: "int64",
    23: "int64",
    701: "double",
    1082: "date",
    1114: "datetime",
    1184: "timestamp",
    1700: "decimal",
}


def as_postgres(sql: str) -> str:
    """Redshift's SQL as PostgreSQL reads it: sizes of texts, keys of tables, units without quotes, and LISTAGG."""
    sql = KEYS.sub("", sql)
    sql = UNITS.sub(r"\1('\2',", sql.replace("VARCHAR(MAX)", "VARCHAR").replace("varchar(max)", "varchar"))
    sql = CALLS.sub(r"redshift.\1(", sql)
    return LIST.sub(r"STRING_AGG(\g<value>, \g<separator> \g<order>)", sql)


class RedshiftRelative:
    """An engine, see `Engine`, in a PostgreSQL database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._connection = psycopg2.connect(database.url, options="-ctimezone=UTC")
        self._tables: Path | None = None
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(FUNCTIONS)
            for name, value in SETTINGS.items():
                cursor.execute(f"SET {name} = {value}")

    def close(self) -> None:
        self._connection.close()

    def run(self, tables: Path, statements: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """See `Engine.run`. Each statement is rolled back."""
        if tables != self._tables:
            self._load(tables)
            self._tables = tables
        return {name: self._answer(as_postgres(sql)) for name, sql in statements.items()}

    def _load(self, tables: Path) -> None:
        with self._connection, self._connection.cursor() as cursor:
            for schema in ("refersion_data", "refersion_summaries"):
                cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
            for file in sorted(tables.glob("*.parquet")):
                rows = duckdb.read_parquet(str(file))
                columns = ", ".join(
                    f'"{name}" {kind}' for name, kind in zip(rows.columns, map(str, rows.types), strict=True)
                )
                cursor.execute(f"CREATE TABLE {file.stem} ({columns.replace(' DOUBLE', ' DOUBLE PRECISION')})")
                text = file.with_suffix(".csv")
                duckdb.execute("SET TimeZone = 'UTC'")
                rows.write_csv(str(text), header=True)
                with text.open(encoding="utf-8", newline="") as lines:
                    cursor.copy_expert(f"COPY {file.stem} FROM STDIN (FORMAT csv, HEADER)", lines)
            cursor.execute("ANALYZE")

    def _answer(self, sql: str) -> dict[str, Any]:
        changes = sql.startswith(("INSERT", "UPDATE", "DELETE"))
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"{sql} RETURNING *" if changes else sql)
                if cursor.description is None:
                    return {"columns": [], "rows": []}
                columns = [(one.name, TYPES.get(one.type_code, "string")) for one in cursor.description]
                rows = [[comparable(value) for value in row] for row in cursor.fetchall()]
        except psycopg2.Error as error:
            return {"error": str(error)}
        finally:
            self._connection.rollback()
        return {"columns": columns, "rows": [[] for _ in rows] if sql.startswith("DELETE") else rows}

"""Runs statements in Spark in ANSI mode: the SQL of Databricks as published by Apache.

    python spark.py prepare FOLDER                 checks for Java
    python spark.py run FOLDER [MASTER] < requests answers each line of statements with a line of results

It is executed by the Python of the engine's own environment, so it imports nothing from the package. Tables are Parquet
files; values are returned as text. MASTER is the address of a cluster; without it, Spark runs in this process.

Databricks changes rows of Delta tables, whose library for Spark is not in any package. UPDATE and DELETE are parsed by
Spark's own parser, and their conditions and values run as a SELECT. `parse` only parses Delta statements that cannot
run.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.classic.column import Column
from pyspark.sql.classic.dataframe import DataFrame
from pyspark.sql.functions import col

# The names of the families in refersion_dagster_tests/engines/result.py.
KINDS = {
    "integer": "int64",
    "long": "int64",
    "timestamp_ntz": "datetime",
}
FRESH = "__inserted"
INSERTED = re.compile(r"(?:WITH .*\) )?INSERT INTO (?P<table>[\w.]+)", re.DOTALL)


def start(folder: Path, master: str) -> SparkSession:
    """A session with those settings of Databricks' SQL warehouses that affect results."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    warehouse = tempfile.mkdtemp(dir=folder)
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.executor.memory": "1g",
        "spark.executor.cores": "1",
        "spark.log.level": "ERROR",
        "spark.sql.ansi.enabled": "true",
        # Java cannot deserialise some of the plans with broadcasts that Spark sends to its workers
        # (ClassCastException).
        "spark.sql.autoBroadcastJoinThreshold": "-1",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.storeAssignmentPolicy": "ANSI",
        "spark.sql.warehouse.dir": warehouse,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master(master)
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


class Tables:
    """A folder's tables in Spark. Names are unique, so the tables of another folder replace them."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._parser = spark._jsparkSession.sessionState().sqlParser()
        self._jvm = spark._jvm
        self._folder: Path | None = None

    def show(self, folder: Path) -> None:
        if folder == self._folder:
            return
        paths = sorted(folder.glob("*.parquet"))
        for schema in {path.stem.partition(".")[0] for path in paths} | {"refersion_data", "refersion_summaries"}:
            self._spark.sql(f"DROP DATABASE IF EXISTS {schema} CASCADE")
            self._spark.sql(f"CREATE DATABASE {schema}")
        for path in paths:
            # Spark ignores files whose names begin with an underscore.
            files = folder / path.stem.replace("._", ".hidden_")
            if not files.exists():
                files.mkdir()
                shutil.copy(path, files / "rows.parquet")
            self._spark.sql(f"CREATE TABLE {path.stem} USING parquet LOCATION '{files}'")
        self._folder = folder

    def run(self, sql: str) -> dict[str, Any]:
        if sql.startswith("PARSE "):
            self._parser.parsePlan(sql.removeprefix("PARSE "))
            return {"columns": [], "rows": []}
        plan = self._parser.parsePlan(sql)
        match plan.nodeName():
            case "UpdateTable":
                return self._assigned(self._filtered(plan.table(), plan.condition()), plan.table(), plan.assignments())
            case "DeleteFromTable":
                found = self._filtered(plan.table(), self._jvm.scala.Some(plan.condition()))
                return {"columns": [], "rows": [[] for _ in range(found.count())]}
            case "MergeIntoTable":
                return self._merged(plan)
            case _ if target := INSERTED.match(sql):
                return self._inserted(sql, target["table"])
            case _:
                return result(self._spark.sql(sql))

    def _filtered(self, table: Any, condition: Any) -> DataFrame:
        return self._frame(
            self._jvm.org.apache.spark.sql.catalyst.plans.logical.Filter(condition.get(), table)
            if condition.isDefined()
            else table
        )

    def _merged(self, plan: Any) -> dict[str, Any]:
        """The new rows of the matches. Each row may have only one match."""
        plans, some = self._jvm.org.apache.spark.sql.catalyst.plans, self._jvm.scala.Some
        inner, no_hint = plans.JoinType.apply("inner"), plans.logical.JoinHint.NONE()
        condition = some(plan.mergeCondition())
        joined = plans.logical.Join(plan.targetTable(), plan.sourceTable(), inner, condition, no_hint)
        assignments = plan.matchedActions().apply(0).assignments()
        return self._assigned(self._frame(joined), plan.targetTable(), assignments)

    def _assigned(self, rows: DataFrame, table: Any, assignments: Any) -> dict[str, Any]:
        """The rows with the assigned values, in the table's types."""
        each = [assignments.apply(place) for place in range(assignments.length())]
        new = {one.key().name(): self._column(one.value()) for one in each}
        stored = self._frame(table).schema
        if unknown := new.keys() - {*stored.names}:
            return {"error": f"the table has no {unknown}"}
        alias = table.alias() + "." if table.nodeName() == "SubqueryAlias" else ""
        values = [new.get(one.name, col(f"{alias}`{one.name}`")).cast(one.dataType).alias(one.name) for one in stored]
        return result(rows.select(values))

    def _frame(self, plan: Any) -> DataFrame:
        return DataFrame(
            self._jvm.org.apache.spark.sql.classic.Dataset.ofRows(self._spark._jsparkSession, plan), self._spark
        )

    def _column(self, expression: Any) -> Column:
        return Column(self._jvm.org.apache.spark.sql.classic.ExpressionUtils.column(expression))

    def _inserted(self, sql: str, table: str) -> dict[str, Any]:
        """The new rows, written to an empty table with the same columns."""
        fresh = f"{table}{FRESH}"
        self._spark.sql(f"CREATE TABLE {fresh} USING parquet AS SELECT * FROM {table} WHERE FALSE")
        try:
            self._spark.sql(sql.replace(f"INSERT INTO {table}", f"INSERT INTO {fresh}", 1))
            return result(self._spark.table(fresh))
        finally:
            self._spark.sql(f"DROP TABLE {fresh}")


def result(found: DataFrame) -> dict[str, Any]:
    kinds = [field.dataType.typeName() for field in found.schema]
    rows = [[text(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in found.collect()]
    return {
        "columns": [[name, KINDS.get(kind, kind)] for name, kind in zip(found.columns, kinds, strict=True)],
        "rows": rows,
    }


def text(value: Any, kind: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds") + ("+00:00" if kind == "timestamp" else "")
    return str(value)


def answer(tables: Tables, statements: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, sql in statements.items():
        try:
            found[name] = tables.run(sql)
        except (PySparkException, Py4JError) as error:
            found[name] = {"error": str(error)}
    return found


def main(command: str, folder: Path, master: str = "local[2]") -> None:
    if command == "prepare":
        if shutil.which("java") is None:
            sys.exit("Spark needs Java 17 or newer: apt-get install openjdk-17-jre-headless")
        return
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")  # what Java prints is not a result
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    tables = Tables(start(folder, master))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            tables.show(Path(asked["tables"]))
            print(json.dumps(answer(tables, asked["statements"])), file=answers, flush=True)
        except BaseException:
            sys.stderr.flush()
            raise


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

"""A dbt project with the same SELECTs as tables and the same checks as singular tests, in a separate environment."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from sqlglot import exp

from refersion_dagster.checks.query import SqlCheck, load_checks
from refersion_dagster.checks.raw import ACCEPTED, KEYS, VARIANT, build_unknown_values, duplicates
from refersion_dagster.checks.sums import build_sums_check
from refersion_dagster.ingest.history import schemas
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.build import FOUND_OUT
from refersion_dagster.summaries.query import Summary, list_tables, load_summaries
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.dialects.dialect import DUCKDB
from refersion_dagster.warehouse.sql import bind

REQUIREMENTS = Path(__file__).with_name("dbt_requirements.txt")
# DuckDB's limit for dlt and dbt: together with the sandbox they have to fit into 8 GB.
MEMORY_LIMIT = "4GB"
TABLE = re.compile(rf"(?<=FROM |JOIN )({DATASET}|{SUMMARIES})\.(\w+)")
PROJECT = """
name: refersion
version: "1.0"
profile: refersion
models:
  refersion:
    +materialized: table
flags:
  send_anonymous_usage_stats: false
"""
# The values of a first run: no stored interpretation of the totals, nothing unsettled, and every table available.
VALUES = {**dict.fromkeys(FOUND_OUT, ""), "control_interpretation": None, **ReportSettings().parameters()}


def dbt_environment(project: Path) -> Path:
    """The Python of a virtual environment with dbt, created once for each version of the requirements."""
    digest = sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    folder = project / ".venv" / f"dbt-{digest}"
    python, finished = folder / "bin" / "python", folder / "finished"
    if not finished.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--requirement", str(REQUIREMENTS)], check=True)
        finished.touch()
    return python


def packages(python: Path) -> dict[str, str]:
    """Versions of dbt and of its DuckDB, under names that distinguish them from ours."""
    names = ("dbt-core", "dbt-duckdb", "duckdb")
    code = f"import importlib.metadata as m, json; print(json.dumps([m.version(n) for n in {names}]))"
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return dict(zip(("dbt-core", "dbt-duckdb", "dbt's duckdb"), json.loads(answer.stdout), strict=True))


def write_project(folder: Path, database: Path) -> None:
    """Write models, tests, sources and profile into `folder`."""
    for name in ("models", "tests"):
        (folder / name).mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    output = {
        "type": "duckdb",
        "path": str(database),
        "schema": SUMMARIES,
        "threads": os.cpu_count(),
        "settings": {"TimeZone": "UTC", "memory_limit": MEMORY_LIMIT},
    }
    # JSON is YAML.
    (folder / "profiles.yml").write_text(json.dumps({"refersion": {"target": "dev", "outputs": {"dev": output}}}))
    tables = [{"name": name} for name in (*KEYS, schemas.TABLE, schemas.CHANGES)]
    sources = [{"name": DATASET, "schema": DATASET, "tables": tables}]
    (folder / "models" / "sources.yml").write_text(json.dumps({"version": 2, "sources": sources}))
    summaries = load_summaries()
    for summary in summaries:
        (folder / "models" / f"{summary.name}.sql").write_text(_referring(_written(summary.file.tree)))
    for name, select, severity in _tests(summaries):
        config = f"{{{{ config(severity='{severity}') }}}}\n"
        (folder / "tests" / f"{name}.sql").write_text(config + _referring(select))


def _written(tree: exp.Query) -> str:
    return DUCKDB.write(bind(tree, VALUES))


def _referring(select: str) -> str:
    """The SELECT with ref and source instead of table names."""
    if found := re.search(r"\{[{%#]", select):
        raise ValueError(f"dbt would read {found[0]} in this SELECT as Jinja: {select}")

    def reference(match: re.Match[str]) -> str:
        schema, table = match.groups()
        return f"{{{{ ref('{table}') }}}}" if schema == SUMMARIES else f"{{{{ source('{DATASET}', '{table}') }}}}"

    return TABLE.sub(reference, select)


def _variants(table: str) -> str:
    """Columns that dlt created for values whose type differs from the column's."""
    return (
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_schema = '{DATASET}' AND table_name = '{table}' AND position('{VARIANT}' IN column_name) > 0"
    )


def _tests(summaries: list[Summary]) -> Iterator[tuple[str, str, str]]:
    """Name, SELECT of the violating rows, and severity of each check that a refresh runs."""
    for table in KEYS:
        yield f"{table}_raw_primary_key", duplicates(table), "error"
        yield f"{table}_raw_no_variant_columns", _variants(table), "error"
        if table in ACCEPTED:
            yield f"{table}_raw_accepted_values", build_unknown_values(table), "warn"
    for summary in summaries:
        key = summary.header.primary_key
        missing = " OR ".join(f"{name} IS NULL" for name in key)
        yield (
            f"{summary.name}_primary_key",
            f"SELECT {', '.join(key)} FROM {SUMMARIES}.{summary.name} GROUP BY ALL HAVING count(*) > 1 OR {missing}",
            "error",
        )
        if sums := summary.header.sums:
            yield f"{summary.name}_sums_preserved", build_sums_check(summary.name, sums), "error"
    for check in load_checks(list_tables(summary.name for summary in summaries)):
        yield check.file.name, _written(check.file.tree), _severity(check)


def _severity(check: SqlCheck) -> str:
    return "warn" if check.file.header.severity == "warning" else "error"

"""The generated pages and contracts agree with the SQL files and with what DuckDB builds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from docs.__main__ import generated
from docs.contracts import FOLDER as CONTRACTS
from docs.dictionary import FOLDER as DICTIONARY
from docs.sample import SampleTable, read_tables
from docs.semantic_model import FILE as SEMANTIC_MODEL
from refersion_dagster.summaries.amounts import CURRENCY_COLUMNS, currency_column, is_amount
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.location import REPOSITORY, query

SUMMARIES = {summary.name: summary for summary in load_summaries()}
STANDARD = jsonschema_rs.validator_for(
    json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
)


def read_yaml(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), yaml.CSafeLoader)


@pytest.fixture(scope="module")
def tables(everything_built: Path) -> list[SampleTable]:
    return read_tables(everything_built)


@pytest.mark.exhaustive
def test_generated_files_are_up_to_date(tables: list[SampleTable]) -> None:
    """`make docs` writes them."""
    expected = generated(tables)
    found = {*DICTIONARY.glob("*.md"), *CONTRACTS.glob("*.yaml")}
    assert found == expected.keys()
    outdated = [path.name for path, text in expected.items() if path.read_text("utf-8") != text]
    assert outdated == []


@pytest.mark.parametrize("name", sorted(SUMMARIES))
def test_a_contract_is_valid_and_has_the_columns_of_its_summary(name: str) -> None:
    contract = read_yaml(CONTRACTS / f"{name}.odcs.yaml")
    assert [error.message for error in STANDARD.iter_errors(contract)] == []
    (table,) = contract["schema"]
    assert [column["name"] for column in table["properties"]] == [*SUMMARIES[name].columns]
    key = {column["name"]: column["primaryKeyPosition"] for column in table["properties"] if "primaryKey" in column}
    assert sorted(key, key=key.__getitem__) == SUMMARIES[name].header.primary_key


def test_the_schema_of_the_standard_refuses_what_is_wrong() -> None:
    contract = read_yaml(CONTRACTS / "conversions.odcs.yaml")
    contract["schema"][0]["properties"][0]["logicalType"] = "money"
    assert not STANDARD.is_valid(contract)


def test_every_amount_names_its_currency_and_metrics_are_the_sums_that_checks_compare() -> None:
    (model,) = read_yaml(SEMANTIC_MODEL)["semantic_model"]
    datasets = {dataset["name"]: {field["name"]: field for field in dataset["fields"]} for dataset in model["datasets"]}
    assert datasets.keys() == SUMMARIES.keys()
    sums = {(name, column) for name, summary in SUMMARIES.items() for column in summary.header.sums}
    expressions = [metric["expression"]["dialects"][0]["expression"] for metric in model["metrics"]]
    assert sorted(expressions) == sorted(f"SUM({name}.{column})" for name, column in sums)
    for name, column in sums:
        assert datasets[name][column]["datatype"] in ("Decimal", "Integer")
        assert currency_column(name, column) in datasets[name]


@pytest.mark.exhaustive
def test_every_amount_of_the_summaries_has_a_currency_column(tables: list[SampleTable]) -> None:
    amounts = {
        (table.summary.name, name) for table in tables for name, kind in table.columns.items() if is_amount(kind)
    }
    assert amounts >= CURRENCY_COLUMNS.keys()
    columns = {table.summary.name: table.columns for table in tables}
    unnamed = {(table, name) for table, name in amounts if currency_column(table, name) not in columns[table]}
    assert unnamed == {key for key, column in CURRENCY_COLUMNS.items() if column is None}


@pytest.mark.exhaustive
def test_relationships_lead_to_rows(everything_built: Path) -> None:
    (model,) = read_yaml(SEMANTIC_MODEL)["semantic_model"]
    assert len(model["relationships"]) > 20
    for one in model["relationships"]:
        (column,), (key,) = one["from_columns"], one["to_columns"]
        lost = query(
            everything_built,
            f"SELECT count(*) FROM refersion_summaries.{one['from']} AS f WHERE f.{column} IS NOT NULL "
            f"AND f.{column} NOT IN (SELECT {key} FROM refersion_summaries.{one['to']})",
        )
        assert lost == [(0,)], one["name"]


@pytest.mark.exhaustive
def test_the_site_is_built_and_all_its_links_and_anchors_hold(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "dictionary" / "commission_liability" / "index.html").exists()
    assert (tmp_path / "site" / "refersion_dagster" / "summaries" / "sql" / "conversions.sql").exists()
    assert "excluded" not in built.stderr

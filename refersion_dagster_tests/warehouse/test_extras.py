"""If a warehouse's extra is not installed, the error says what to install."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable

import pytest

from refersion_dagster.warehouse.bigquery.credentials import bigquery_configuration
from refersion_dagster.warehouse.databricks.credentials import databricks_credentials
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.warehouse.redshift.credentials import redshift_credentials
from refersion_dagster.warehouse.snowflake.credentials import snowflake_credentials
from refersion_dagster.warehouse.spark.engine import SparkEngine
from refersion_dagster_tests.location import REPOSITORY


@pytest.mark.parametrize(
    ("extra", "module", "package", "credentials"),
    [
        ("bigquery", "google.cloud.bigquery", "google-cloud-bigquery", bigquery_configuration),
        ("bigquery", "db_dtypes", "db-dtypes", bigquery_configuration),
        ("databricks", "databricks", "databricks-sql-connector", databricks_credentials),
        ("redshift", "psycopg2", "psycopg2-binary", redshift_credentials),
        ("spark", "grpc_status", "pyspark-client", lambda: SparkEngine("sc://host")),
        ("snowflake", "snowflake", "snowflake-connector-python", snowflake_credentials),
    ],
)
def test_without_the_extra_the_error_says_what_to_install(
    extra: str, module: str, package: str, credentials: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert package in [one.partition(">")[0] for one in extras[extra]]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(WarehouseNotSet, match=rf"needs {package}\. Install with: pip install .*{package}"):
        credentials()

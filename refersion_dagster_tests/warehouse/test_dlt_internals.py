"""The undocumented dlt APIs that this project uses behave as expected. A release that changes one fails here first."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.destination import Destination, DestinationCapabilitiesContext
from dlt.common.destination.client import DestinationClientDwhConfiguration, RunnableLoadJob
from dlt.common.destination.configuration import ParquetFormatConfiguration
from dlt.common.schema import utils
from dlt.common.schema.typing import TLoaderMergeStrategy
from dlt.common.storages.fsspec_filesystem import prepare_fsspec_args
from dlt.common.storages.load_package import ParsedLoadJobFileName
from dlt.destinations._adbc_jobs import AdbcParquetCopyJob
from dlt.destinations.exceptions import DatabaseException
from dlt.destinations.impl.bigquery.bigquery_adapter import PartitionTransformation
from dlt.destinations.impl.bigquery.configuration import BigQueryClientConfiguration
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.ducklake.configuration import DuckLakeCredentials
from dlt.destinations.impl.ducklake.ducklake import DuckLakeClient
from dlt.destinations.impl.ducklake.sql_client import DuckLakeSqlClient
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration
from dlt.destinations.impl.motherduck.configuration import MotherDuckCredentials
from dlt.destinations.impl.motherduck.sql_client import MotherDuckSqlClient
from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration, PostgresCredentials
from dlt.destinations.impl.postgres.factory import PostgresTypeMapper
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.impl.redshift.factory import RedshiftTypeMapper
from dlt.destinations.impl.redshift.redshift import HINT_TO_REDSHIFT_ATTR
from dlt.destinations.impl.snowflake.configuration import SnowflakeClientConfiguration, SnowflakeCredentials
from dlt.destinations.impl.snowflake.factory import SnowflakeTypeMapper
from dlt.destinations.sql_client import SqlClientBase
from dlt.load.exceptions import LoadClientJobException

from refersion_dagster.warehouse.dlt_internals.duckdb import DirectMergeClient, direct_merge_destination
from refersion_dagster.warehouse.dlt_internals.duckdb import file_credentials as credentials_of
from refersion_dagster.warehouse.dlt_internals.ducklake import AttachedLake, LakeCredentials, lake_destination
from refersion_dagster.warehouse.dlt_internals.filesystem import filesystem_options
from refersion_dagster.warehouse.dlt_internals.postgres import CodePointTypes, RowGroupClient, row_group_destination
from refersion_dagster.warehouse.dlt_internals.postgres_settings import EncodedCredentials
from refersion_dagster.warehouse.dlt_internals.redshift import utc_destination as redshift_destination
from refersion_dagster.warehouse.dlt_internals.redshift_settings import EndpointCredentials
from refersion_dagster.warehouse.dlt_internals.snowflake import session_destination
from refersion_dagster.warehouse.load import file_format
from refersion_dagster_tests.location import REPOSITORY

# Methods that are overridden or called, with their required parameters.
METHODS: dict[Any, dict[str, tuple[str, ...]]] = {
    Destination: {
        "capabilities": ("self", "config", "naming"),
        "configuration": ("self", "initial_config", "accept_partial"),
    },
    RunnableLoadJob: {"run": ("self",)},
    DuckDbCopyJob: {"__init__": ("self", "file_path"), "run": ("self",)},
    DuckDbClient: {
        "should_load_data_to_staging_dataset": ("self", "table_name"),
        "_create_merge_followup_jobs": ("self", "table_chain"),
        "create_load_job": ("self", "table", "file_path", "load_id", "restore"),
    },
    PostgresClient: {"create_load_job": ("self", "table", "file_path", "load_id", "restore")},
    DuckDbSqlClient: {
        "__init__": ("self", "dataset_name", "staging_dataset_name", "credentials", "capabilities"),
        "open_connection": ("self",),
        "close_connection": ("self",),
        "_build_secret_statements": ("scope", "credentials", "secret_name", "persistent_stmt", "persist_secrets"),
    },
    DuckLakeClient: {"__init__": ("self", "schema", "config", "capabilities")},
    DuckLakeSqlClient: {"open_connection": ("self",), "close_connection": ("self",)},
    MotherDuckSqlClient: {
        "__init__": ("self", "dataset_name", "staging_dataset_name", "credentials", "capabilities"),
    },
    DuckLakeCredentials: {"_conn_str": ("self",), "on_partial": ("self",)},
    Psycopg2SqlClient: {
        "__init__": ("self", "dataset_name", "staging_dataset_name", "credentials", "capabilities"),
    },
    SqlClientBase: {
        "make_qualified_table_name": ("self", "table_name", "quote", "casefold"),
        "escape_column_name": ("self", "column_name", "quote", "casefold"),
        "execute_sql": ("self", "sql", "args", "kwargs"),
        "begin_transaction": ("self",),
    },
    DestinationClientDwhConfiguration: {"_bind_dataset_name": ("self", "dataset_name", "default_schema_name")},
    PartitionTransformation: {"__init__": ("self", "template", "column_name")},
    PostgresClientConfiguration: {"data_location": ("self",)},
    PostgresCredentials: {"to_native_representation": ("self",), "get_query": ("self",)},
    SnowflakeCredentials: {"to_connector_params": ("self",), "get_query": ("self",)},
    Container: {"injectable_context": ("self", "config", "lock_context_on_yield")},
    utils: {
        "get_columns_names_with_prop": ("table", "column_prop", "include_incomplete"),
        "get_nested_tables": ("tables", "table_name", "max_nesting", "include_self"),
    },
    ParsedLoadJobFileName: {"parse": ("file_name",)},
}
# Names that each type must have as a property or a field.
NAMES: dict[type, tuple[str, ...]] = {
    Destination: ("client_class", "destination_type", "spec"),
    RunnableLoadJob: ("load_table_name",),
    AdbcParquetCopyJob: ("_ingest_per_rowgroup",),
    SqlClientBase: ("native_connection",),
    PostgresTypeMapper: ("sct_to_unbound_dbt",),
    DestinationCapabilitiesContext: ("supported_merge_strategies", "merge_strategies_selector"),
    BigQueryClientConfiguration: ("credentials", "location", "project_id", "http_timeout", "retry_deadline"),
    ConfigSectionContext: ("pipeline_name",),
    DuckDbCredentials: ("database", "statements", "read_only"),
    FilesystemDestinationClientConfiguration: ("bucket_url", "credentials"),
    DuckLakeCredentials: ("ducklake_name", "metadata_schema", "catalog", "storage", "storage_url"),
    LoadClientJobException: ("client_exception",),
    MotherDuckCredentials: ("database", "password"),
    SnowflakeCredentials: ("host", "database", "query", "session_timezone"),
    SnowflakeClientConfiguration: ("credentials", "keep_staged_files"),
}
# Modules of dlt that other code may import: documented functions, types and exceptions.
DOCUMENTED = {
    "dlt",
    "dlt.common.configuration.exceptions",
    "dlt.common.destination",
    "dlt.common.pipeline",
    "dlt.common.schema.typing",
    "dlt.common.storages.exceptions",
    "dlt.common.typing",
    "dlt.destinations.adapters",
    "dlt.destinations.exceptions",
    "dlt.destinations.sql_client",
    "dlt.extract.resource",
    "dlt.extract.source",
    "dlt.pipeline.exceptions",
    "dlt.pipeline.pipeline",
}
CASES = [(owner, name, expected) for owner, methods in METHODS.items() for name, expected in methods.items()]


@pytest.mark.parametrize(("owner", "name", "expected"), CASES, ids=[f"{one.__name__}.{name}" for one, name, _ in CASES])
def test_a_method_has_the_parameters_that_are_used(owner: Any, name: str, expected: tuple[str, ...]) -> None:
    method = getattr(owner, name, None)
    found = tuple(inspect.signature(method).parameters) if method else None
    assert found == expected, f"dlt {dlt.__version__}: {owner.__name__}.{name} takes {found} instead of {expected}"


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in NAMES.items() for name in names], ids=lambda one: str(one)
)
def test_a_name_is_there(owner: type, name: str) -> None:
    declared = {key for one in owner.__mro__ for key in (*vars(one), *inspect.get_annotations(one))}
    assert name in declared, f"dlt {dlt.__version__}: {owner.__name__} has no {name}"


def test_a_job_gets_its_client_schema_and_file_in_private_attributes() -> None:
    job = DuckDbCopyJob("/folder/offers.0123abcdef.0.parquet")
    missing = {"_job_client", "_schema", "_file_path"} - vars(job).keys()
    assert not missing, f"dlt {dlt.__version__}: DuckDbCopyJob has {sorted(vars(job))} and not {missing}"
    assert job._file_path == "/folder/offers.0123abcdef.0.parquet"
    assert ParsedLoadJobFileName.parse(job._file_path).table_name == "offers"


@pytest.mark.parametrize("client", [DirectMergeClient, RowGroupClient])
def test_a_client_overrides_only_what_dlt_calls(client: type) -> None:
    ours = {name for name, value in vars(client).items() if inspect.isfunction(value)} - {"_merges_files"}
    lacking = {name for name in ours if not hasattr(client.__base__, name)}
    assert ours
    assert not lacking, f"dlt {dlt.__version__}: {client.__base__} has no {lacking}"


def test_an_error_keeps_the_one_of_the_driver() -> None:
    error = ValueError("of the driver")
    assert getattr(DatabaseException(error), "dbapi_exception", None) is error, f"dlt {dlt.__version__}"
    assert issubclass(PostgresParquetCopyJob, AdbcParquetCopyJob)


def test_the_hints_of_our_write_disposition_have_these_names() -> None:
    @dlt.resource(
        primary_key="id", write_disposition={"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}
    )
    def offers() -> Any:
        yield {"id": 1}

    table: Any = offers.compute_table_schema()
    hints = {name: table.get(name) for name in ("write_disposition", "x-merge-strategy", "x-stage-data-deduplicated")}
    assert list(hints.values()) == ["merge", "delete-insert", True], f"dlt {dlt.__version__}: {table}"
    assert utils.get_columns_names_with_prop(table, "primary_key") == []  # only complete columns
    assert utils.get_columns_names_with_prop(table, "primary_key", include_incomplete=True) == ["id"]
    assert "delete-insert" in TLoaderMergeStrategy.__args__


def test_documented_arguments_reach_the_capabilities(tmp_path: Path) -> None:
    duck = direct_merge_destination(credentials_of(str(tmp_path / "w.duckdb")), "refersion")
    assert duck.capabilities().parquet_format == ParquetFormatConfiguration(compression="none")
    assert (duck.destination_name, duck.destination_type) == ("refersion", "dlt.destinations.duckdb")
    assert duck.destination_type == dlt.destinations.duckdb().destination_type
    credentials = EncodedCredentials()
    credentials.update({"database": "refersion", "host": "localhost"})
    server = row_group_destination(credentials)
    assert server.capabilities().type_mapper is CodePointTypes
    assert server.destination_type == dlt.destinations.postgres().destination_type


def test_a_lake_is_dlts_destination_that_loads_one_file_after_the_other() -> None:
    lake = lake_destination(LakeCredentials())
    assert isinstance(lake, AttachedLake)
    assert lake.destination_type == dlt.destinations.ducklake().destination_type
    assert lake.client_class.__mro__[1] is DuckLakeClient
    assert "delete-insert" in (lake.capabilities().supported_merge_strategies or [])
    assert lake.capabilities().loader_parallelism_strategy == "sequential"


def test_options_of_a_bucket_are_its_keys_and_no_cache_of_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuple(inspect.signature(prepare_fsspec_args).parameters) == ("config",), f"dlt {dlt.__version__}"
    given = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret", "ENDPOINT_URL": "http://localhost"}
    for name, value in given.items():
        monkeypatch.setenv(f"DESTINATION__FILESYSTEM__CREDENTIALS__{name}", value)
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "gs://another")
    options = filesystem_options("s3://bucket/folder", "refersion_pipeline", "refersion_data")
    expected = {"key": "access", "secret": "secret", "endpoint_url": "http://localhost", "use_listings_cache": False}
    assert {name: options.get(name) for name in expected} == expected, f"dlt {dlt.__version__}"


def test_sessions_of_snowflake_are_opened_with_what_is_set_and_names_are_in_capitals() -> None:
    credentials = SnowflakeCredentials()
    credentials.update(
        {
            "host": "account",
            "database": "books",
            "username": "loader",
            "password": "secret",
            "query": {"session_parameters": {"WEEK_START": 1}},
        }
    )
    credentials.resolve()
    given = credentials.to_connector_params()
    expected = {"account": "account", "database": "books", "timezone": "UTC", "session_parameters": {"WEEK_START": 1}}
    assert given.items() >= expected.items(), f"dlt {dlt.__version__}: {sorted(given)}"
    known = session_destination(credentials).capabilities()
    assert known.casefold_identifier is str.upper
    assert "upsert" in known.supported_merge_strategies
    mapper = SnowflakeTypeMapper(known)
    kinds = [mapper.to_destination_type({"name": "a", "data_type": kind}) for kind in ("timestamp", "bigint", "text")]
    assert kinds == ["TIMESTAMP_LTZ", "NUMBER(19,0)", "VARCHAR"], f"dlt {dlt.__version__}"


def test_redshift_is_loaded_by_insert_with_an_address_that_keeps_every_password() -> None:
    credentials = EndpointCredentials()
    given = {"host": "endpoint", "database": "books", "username": "loader", "password": "a b@c", "port": 5439}
    credentials.update({**given, "session_timezone": "UTC"})
    credentials.resolve()
    address = credentials.to_native_representation()
    assert "password=a%20b%40c" in address, f"dlt {dlt.__version__}"
    assert "-ctimezone%3DUTC" in address, f"dlt {dlt.__version__}: {address}"
    destination = redshift_destination(credentials)
    known = destination.capabilities()
    assert known.preferred_loader_file_format == "insert_values"
    assert file_format(destination) == "insert_values"
    assert known.supported_merge_strategies == ["delete-insert", "scd2"]
    assert known.supports_ddl_transactions
    mapper = RedshiftTypeMapper(known)
    kinds = [mapper.to_destination_type({"name": "a", "data_type": kind}, {"name": "b"}) for kind in ("bigint", "text")]
    assert kinds == ["bigint", "varchar(max)"], f"dlt {dlt.__version__}"
    assert HINT_TO_REDSHIFT_ATTR == {"cluster": "DISTKEY", "sort": "SORTKEY"}


IMPORTS_DLT = re.compile(r"^\s*(from|import) dlt\b", re.MULTILINE)


def test_internals_are_named_in_one_package() -> None:
    package = REPOSITORY / "refersion_dagster"
    found: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        place = path.relative_to(package)
        if place.parts[:2] == ("warehouse", "dlt_internals"):
            continue
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if IMPORTS_DLT.search(text) else ():
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if undocumented := {one for one in modules if one.split(".")[0] == "dlt"} - DOCUMENTED:
                found.setdefault(str(place), set()).update(undocumented)
    assert found == {}

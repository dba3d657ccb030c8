"""The approach of dlt's documentation: its REST API source, POST paging, merge on the id, DuckDB, no tuning."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dlt
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import EndpointResource, RESTAPIConfig

from benchmarks.contract import CONVERSIONS_QUERY, PAGE_SIZE
from benchmarks.database import DATASET, database_path
from benchmarks.rows import SPAN_END, SPAN_START


def run_default_format(graphql_url: str, rows: int, directory: Path, concurrency: int) -> None:
    """Load `rows` conversions in dlt's default load format for DuckDB, insert_values."""
    _pipeline(directory).run(rest_api_source(_configuration(graphql_url))).raise_on_failed_jobs()


def run_parquet(graphql_url: str, rows: int, directory: Path, concurrency: int) -> None:
    """Load `rows` conversions with Parquet files."""
    source = rest_api_source(_configuration(graphql_url))
    _pipeline(directory).run(source, loader_file_format="parquet").raise_on_failed_jobs()


def _pipeline(directory: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "plain_rest_api",
        pipelines_dir=str(directory / "pipelines"),
        destination=dlt.destinations.duckdb(str(database_path(directory))),
        dataset_name=DATASET,
    )


def _configuration(graphql_url: str) -> RESTAPIConfig:
    address = urlsplit(graphql_url)
    span = {"created_from": SPAN_START, "created_to": SPAN_END}
    return {
        "client": {"base_url": f"{address.scheme}://{address.netloc}"},
        "resources": [graphql_resource(address.path, "conversions", CONVERSIONS_QUERY, span)],
    }


def graphql_resource(path: str, name: str, query: str, variables: Mapping[str, Any] | None = None) -> EndpointResource:
    """A root field as a resource: POST paging by offset, merge on the id.

    Paging ends at the total if the query selects pageInfo, otherwise at the first empty page.
    """
    return {
        "name": name,
        "primary_key": "id",
        "write_disposition": "merge",
        "endpoint": {
            "path": path,
            "method": "POST",
            "json": {
                # The source applies string formatting to the body, which turns doubled braces into single ones.
                "query": query.replace("{", "{{").replace("}", "}}"),
                "variables": dict(variables or {}),
            },
            "data_selector": f"data.{name}",
            "paginator": {
                "type": "offset",
                "limit": PAGE_SIZE,
                "offset_body_path": "variables.offset",
                "limit_body_path": "variables.first",
                "total_path": f"data.pageInfo.total_results.{name}" if "pageInfo" in query else None,
            },
        },
    }

"""dlt's configuration of BigQuery, and its client. Importing this module requires no Google package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dlt
from dlt.destinations.impl.bigquery.bigquery_adapter import PartitionTransformation
from dlt.destinations.impl.bigquery.configuration import BigQueryClientConfiguration

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration

if TYPE_CHECKING:
    from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient


def find_configuration(pipeline: str, dataset: str) -> BigQueryClientConfiguration:
    """dlt's configuration for the destination `bigquery` of a pipeline.

    Raises ConfigurationException if credentials or their project are missing or invalid.
    """
    return resolve_configuration(dlt.destinations.bigquery(), BigQueryClientConfiguration(), pipeline, dataset)


def by_month(column: str) -> PartitionTransformation:
    """The partition that `bigquery_adapter` accepts for a table partitioned by the month of a timestamp."""
    return PartitionTransformation("TIMESTAMP_TRUNC({column_name}, MONTH)", column)


def project_client(configuration: BigQueryClientConfiguration, dataset: str) -> BigQuerySqlClient:
    """dlt's SQL client for a project, created without a pipeline. It requires Google's client."""
    from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient

    return BigQuerySqlClient(
        dataset,
        "",
        configuration.credentials,  # pyright: ignore[reportArgumentType]
        dlt.destinations.bigquery().capabilities(),
        configuration.location,
        configuration.project_id,
        configuration.http_timeout,
        configuration.retry_deadline,
    )

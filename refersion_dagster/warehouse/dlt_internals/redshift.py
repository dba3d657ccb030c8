"""dlt's Redshift destination, and its client. Importing this module requires psycopg2."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.destinations.impl.redshift.redshift import RedshiftSqlClient

from refersion_dagster.warehouse.dlt_internals.redshift_settings import EndpointCredentials


def utc_destination(credentials: EndpointCredentials) -> Any:
    """dlt's destination with these credentials, for loads by INSERT."""
    return dlt.destinations.redshift(credentials=credentials, destination_name="redshift")


def endpoint_client(credentials: EndpointCredentials, dataset: str) -> RedshiftSqlClient:
    """dlt's SQL client for an endpoint, created without a pipeline."""
    return RedshiftSqlClient(dataset, "", credentials, utc_destination(credentials).capabilities())

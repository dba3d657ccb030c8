"""dlt's configuration of MotherDuck, and its client."""

from __future__ import annotations

from dlt.destinations.impl.motherduck.configuration import MotherDuckClientConfiguration, MotherDuckCredentials
from dlt.destinations.impl.motherduck.factory import motherduck
from dlt.destinations.impl.motherduck.sql_client import MotherDuckSqlClient

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration


def find_token_and_database(pipeline: str, dataset: str) -> MotherDuckCredentials | None:
    """dlt's configuration for the destination `motherduck` of a pipeline, complete or not; None if there is none.

    Raises ConfigurationException for invalid values.
    """
    configuration = MotherDuckClientConfiguration()
    return resolve_configuration(motherduck(), configuration, pipeline, dataset, accept_partial=True).credentials


def cloud_destination(credentials: MotherDuckCredentials) -> motherduck:
    """The destination for a database."""
    return motherduck(credentials, destination_name="motherduck")


def cloud_client(credentials: MotherDuckCredentials, dataset: str) -> MotherDuckSqlClient:
    """dlt's SQL client for a database, created without a pipeline."""
    return MotherDuckSqlClient(dataset, "", credentials, motherduck().capabilities())

"""dlt's configuration of MotherDuck, and its client."""

from __future__ import annotations

from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.destinations.impl.motherduck.configuration import MotherDuckClientConfiguration, MotherDuckCredentials
from dlt.destinations.impl.motherduck.factory import motherduck
from dlt.destinations.impl.motherduck.sql_client import MotherDuckSqlClient


def find_token_and_database(pipeline: str, dataset: str) -> MotherDuckCredentials | None:
    """What dlt's configuration says for the destination `motherduck` of a pipeline, complete or not; None for nothing.

    Raises ConfigurationException for what cannot be read.
    """
    configuration = MotherDuckClientConfiguration()._bind_dataset_name(dataset)
    with Container().injectable_context(ConfigSectionContext(pipeline_name=pipeline)):
        found: Any = motherduck().configuration(configuration, accept_partial=True).credentials
    return found


def cloud_destination(credentials: MotherDuckCredentials) -> motherduck:
    """The destination for a database."""
    return motherduck(credentials, destination_name="motherduck")


def cloud_client(credentials: MotherDuckCredentials, dataset: str) -> MotherDuckSqlClient:
    """dlt's SQL client for a database, made without a pipeline."""
    return MotherDuckSqlClient(dataset, "", credentials, motherduck().capabilities())

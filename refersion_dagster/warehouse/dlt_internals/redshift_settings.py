"""dlt's configuration of Redshift. Importing this module requires no driver."""

from __future__ import annotations

import dlt
from dlt.common.configuration import configspec
from dlt.destinations.impl.redshift.configuration import RedshiftClientConfiguration, RedshiftCredentials

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration
from refersion_dagster.warehouse.dlt_internals.postgres_settings import encode_address

# Loads wait for Refersion, and many networks drop connections that are idle for some minutes.
CONNECTION = {"application_name": "refersion_dagster", "keepalives_idle": "30"}


@configspec(init=False)
class EndpointCredentials(RedshiftCredentials):
    """Credentials whose address every release of libpq accepts; see EncodedCredentials."""

    def to_native_representation(self) -> str:
        return encode_address(self)


def find_credentials(pipeline: str, dataset: str) -> EndpointCredentials:
    """dlt's configuration for the destination `redshift` of a pipeline, for sessions in UTC.

    Raises ConfigurationException if something is missing, and ValueError for an address that cannot be parsed.
    """
    configuration = RedshiftClientConfiguration()
    found = resolve_configuration(dlt.destinations.redshift(), configuration, pipeline, dataset).credentials
    credentials = EndpointCredentials()
    credentials.update({name: value for name, value in found.items() if name != "drivername"})
    credentials.session_timezone = "UTC"
    credentials.query = {**CONNECTION, **(found.query or {})}
    credentials.resolve()
    return credentials

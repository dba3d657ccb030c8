"""dlt's configuration of files in a bucket. Importing this module requires no storage client."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.storages.fsspec_filesystem import prepare_fsspec_args
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration


def filesystem_options(address: str, pipeline: str, dataset: str) -> dict[str, Any]:
    """fsspec's options for an address, from dlt's configuration of the destination `filesystem`. They contain the keys.

    Raises ConfigurationException if credentials are missing or invalid.
    """
    configuration = FilesystemDestinationClientConfiguration()
    # The address is an argument, so it takes precedence over a bucket configured for loads.
    destination = dlt.destinations.filesystem(address)
    return dict(prepare_fsspec_args(resolve_configuration(destination, configuration, pipeline, dataset)))

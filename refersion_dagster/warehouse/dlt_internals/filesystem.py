"""dlt's configuration of files in a bucket. Importing it needs no client of any storage."""

from __future__ import annotations

from typing import Any

import dlt
from dlt.common.storages.fsspec_filesystem import prepare_fsspec_args
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration

from refersion_dagster.warehouse.dlt_internals.configuration import resolve_configuration


def filesystem_options(address: str, pipeline: str, dataset: str) -> dict[str, Any]:
    """What fsspec needs to open an address, by dlt's configuration of the destination `filesystem`. It holds the keys.

    Raises ConfigurationException where credentials are missing or cannot be read.
    """
    configuration = FilesystemDestinationClientConfiguration()
    # The address is an argument, so that it counts more than a bucket that is configured for loads.
    destination = dlt.destinations.filesystem(address)
    return dict(prepare_fsspec_args(resolve_configuration(destination, configuration, pipeline, dataset)))

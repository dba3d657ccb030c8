"""dlt's configuration of a destination, resolved without a pipeline."""

from __future__ import annotations

from typing import Any, TypeVar

from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.destination.client import DestinationClientDwhConfiguration
from dlt.common.destination.reference import Destination

Configuration = TypeVar("Configuration", bound=DestinationClientDwhConfiguration)


def resolve_configuration(
    destination: Destination[Any, Any],
    configuration: Configuration,
    pipeline: str,
    dataset: str,
    *,
    accept_partial: bool = False,
) -> Configuration:
    """The configuration as dlt resolves it for a pipeline: from the environment and from its files.

    Raises ConfigurationException for invalid values, and for missing ones unless `accept_partial`.
    """
    configuration._bind_dataset_name(dataset)
    with Container().injectable_context(ConfigSectionContext(pipeline_name=pipeline)):
        return destination.configuration(configuration, accept_partial=accept_partial)

"""Names visible to users (the dlt pipeline and its dataset), and account settings from dlt's own configuration."""

from __future__ import annotations

from refersion_dagster.settings import AccountSettings

PIPELINE = "refersion_pipeline"
DATASET = "refersion_data"
DESTINATION_NAME = "refersion"


def from_dlt(name: str) -> str | None:
    """A setting of [sources.refersion_source] in .dlt/secrets.toml or .dlt/config.toml, as the source finds it."""
    import dlt

    place = f"sources.refersion_source.{name}"
    kind = int if AccountSettings.model_fields[name].annotation is int else str
    found = dlt.secrets.get(place, kind)
    if found is None:
        found = dlt.config.get(place, kind)
    return None if found is None else str(found)

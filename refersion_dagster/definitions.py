"""The module that Dagster loads: the code location with the settings of this process."""

from refersion_dagster.code_location import build_definitions
from refersion_dagster.settings import load_settings

defs = build_definitions(load_settings())

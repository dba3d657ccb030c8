"""All settings: declared once, read in one place and passed to the code that needs them."""

from refersion_dagster.settings.environment import (
    ALLOW_WRITES,
    ENVIRONMENT,
    SECRET_VARIABLES,
    VARIABLES,
    Settings,
    env_file_ignored,
    load_settings,
    settle,
)
from refersion_dagster.settings.figures import FigureSettings
from refersion_dagster.settings.parts import (
    AccountSettings,
    ActionSettings,
    AlertSettings,
    ExtensionSettings,
    OutputSettings,
    ScheduleSettings,
    SecretFileSettings,
    WarehouseSettings,
    WebhookSettings,
)
from refersion_dagster.settings.values import InvalidSetting, describe_templates, is_template

__all__ = [
    "ALLOW_WRITES",
    "ENVIRONMENT",
    "SECRET_VARIABLES",
    "VARIABLES",
    "AccountSettings",
    "ActionSettings",
    "AlertSettings",
    "ExtensionSettings",
    "FigureSettings",
    "InvalidSetting",
    "OutputSettings",
    "ScheduleSettings",
    "SecretFileSettings",
    "Settings",
    "WarehouseSettings",
    "WebhookSettings",
    "describe_templates",
    "env_file_ignored",
    "is_template",
    "load_settings",
    "settle",
]

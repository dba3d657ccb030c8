"""Accounts as components, with the sandbox behind their variables."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import dagster as dg

from refersion_dagster import RefersionComponent
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import SALT


def variables(account: str, sandbox: SandboxServer, folder: Path) -> dict[str, str]:
    """The environment of an account whose files are in the folder."""
    usual = sandbox.environment() | {
        "REFERSION_PII_SALT": SALT,
        "REFERSION_RETRY_SECONDS": "2",
        "REFERSION_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
        "REFERSION_PUBLISH_PATH": str(folder / f"{account}_published"),
        "REFERSION_REPORT_PATH": str(folder / f"{account}_reports"),
        "REFERSION_WEBHOOK_INBOX": str(folder / f"{account}.sqlite"),
    }
    return {f"{account.upper()}_{name}": value for name, value in usual.items()}


def definitions(account: str, **attributes: Any) -> dg.Definitions:
    """The definitions of a component, as a project loads them."""
    component = RefersionComponent(account=account, **attributes)
    return component.build_defs(dg.ComponentTree.for_test().load_context)


def keys(defs: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_all_asset_keys()}


PROJECT = """
[project]
name = "foreign"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{module}"
"""


def project(folder: Path, **components: str) -> Path:
    """Writes a Dagster project with a `defs.yaml` for each component. Returns the folder of its definitions."""
    # A module of this name must not have been imported from another folder.
    module = f"foreign_{zlib.crc32(str(folder).encode()):x}"
    (folder / "pyproject.toml").write_text(PROJECT.format(module=module))
    defs = folder / module / "defs"
    defs.mkdir(parents=True)
    (folder / module / "__init__.py").touch()
    (defs / "__init__.py").touch()
    for name, text in components.items():
        (defs / name).mkdir()
        (defs / name / "defs.yaml").write_text(text)
    return defs

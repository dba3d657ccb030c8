"""`dg` in a project outside of this repository, with the wheel: the component is found, scaffolded and loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg
import pytest

from refersion_dagster_tests.component.accounts import PROJECT
from refersion_dagster_tests.installation.test_wheel import install, pip, wheel
from refersion_dagster_tests.location import REPOSITORY

pytestmark = pytest.mark.installs
__all__ = ["wheel"]

DEFINITIONS = """
from pathlib import Path

import dagster as dg

@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


def test_a_project_scaffolds_checks_and_lists_the_component(tmp_path: Path, wheel: Path) -> None:
    installed = install(tmp_path, wheel, sys.executable)
    python = installed.environment / "bin" / "python"
    pip(python, "install", "--constraint", str(REPOSITORY / "constraints.txt"), f"dagster-dg-cli=={dg.__version__}")
    package = installed.folder / "foreign"
    (package / "defs").mkdir(parents=True)
    (installed.folder / "pyproject.toml").write_text(PROJECT.format(module="foreign"))
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)

    listed = installed.run("dg", "list", "components", "--json")
    assert listed.code == 0, listed.output
    assert "refersion_dagster.RefersionComponent" in listed.output

    for name in ("shop_eu", "shop_us"):
        made = installed.run("dg", "scaffold", "defs", "refersion_dagster.RefersionComponent", name)
        assert made.code == 0, made.output
    made = installed.run("dg", "scaffold", "defs", "refersion_dagster.AllAccountsComponent", "all_accounts")
    assert made.code == 0, made.output
    written = package / "defs" / "shop_eu" / "defs.yaml"
    assert "account: shop_eu" in written.read_text()

    for command in (("check", "yaml"), ("check", "defs")):
        checked = installed.run("dg", *command)
        assert checked.code == 0, checked.output
    defs = installed.run("dg", "list", "defs", "--json")
    assert defs.code == 0, defs.output
    for name in (
        *("shop_eu/summaries/commission_liability", "shop_us_refersion_refresh", "shop_eu_refersion_nightly"),
        "all_accounts/published/summaries",
    ):
        assert name in defs.output

    # Commands find the account in the project.
    doctor = installed.run("refersion-dagster", "doctor", "--account", "shop_us")
    assert "SHOP_US_REFERSION_PUBLIC_KEY" in doctor.output
    unknown = installed.run("refersion-dagster", "refresh", "--account", "shop_uk")
    assert "There is no account shop_uk" in unknown.output
    assert "It has shop_eu, shop_us." in unknown.output

    written.write_text(written.read_text() + "  summaries: [sales]\n")
    refused = installed.run("dg", "check", "defs")
    assert refused.code != 0
    assert "There is no summary sales" in refused.output

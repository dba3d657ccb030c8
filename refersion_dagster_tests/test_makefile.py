"""The commands of the Makefile are commands of a shell."""

from __future__ import annotations

import subprocess

import pytest

from refersion_dagster_tests.location import REPOSITORY


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("demo",), "refersion-dagster demo"),
        (("demo", "UI=1"), "demo --ui"),
        (("demo", "DESTINATION=ducklake"), '".[dev,ducklake]"'),
        (("demo", "DESTINATION=postgres"), '".[dev,postgres]"'),
        (("dev", "SANDBOX=1"), "dev --sandbox"),
        (("dashboard",), "python -m dashboard"),
        (
            ("dashboard", "SANDBOX=1", "HEADLESS=1"),
            ".demo/published .venv/bin/python -m dashboard --headless",
        ),
        (("test", "test-all", "test-warehouses", "lint", "docs"), "pytest"),
    ],
)
def test_a_shell_can_read_what_make_would_run(arguments: tuple[str, ...], command: str) -> None:
    run = subprocess.run(["make", "--dry-run", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert command in run.stdout
    read = subprocess.run(["sh", "-n"], input=run.stdout, capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")

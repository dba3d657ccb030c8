"""The wheel in clean environments: what somebody has who installs it and starts in an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from packaging.specifiers import SpecifierSet

from refersion_dagster_tests.location import REPOSITORY

pytestmark = pytest.mark.installs

PACKED = (
    *("pyproject.toml", "README.md", "AGENTS.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"),
    *("refersion_dagster", "docs", "deploy", "benchmarks"),
)
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
NEWER = ("3.11", "3.12", "3.13")
TOO_OLD = ("3.10", "3.9", "3.8")
LOADS = """
import importlib.util
from refersion_dagster.definitions import defs
print(len(list(defs.resolve_all_asset_specs())), "assets")
print([name for name in ("psycopg2", "adbc_driver_postgresql", "marimo") if importlib.util.find_spec(name)])
"""


def interpreter(version: str) -> str | None:
    """A Python of this version: on the PATH, or pyenv's."""
    if version == THIS:
        return sys.executable
    found = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python3")]
    for candidate in filter(None, found):
        told = subprocess.run(
            [candidate, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
            capture_output=True,
            text=True,
            check=False,
        )
        if told.stdout.strip() == version:
            return str(candidate)
    return None


@dataclass(frozen=True)
class Ended:
    code: int
    output: str


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and an empty folder to start in."""

    environment: Path
    folder: Path

    def run(self, program: str, *words: str, **settings: str) -> Ended:
        home = {"PATH": f"{self.environment / 'bin'}:/usr/bin:/bin", "HOME": str(self.folder)}
        done = subprocess.run(
            [str(self.environment / "bin" / program), *words],
            cwd=self.folder,
            env={**home, "DAGSTER_DISABLE_TELEMETRY": "1", "RUNTIME__DLTHUB_TELEMETRY": "false", **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return Ended(done.returncode, done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once, of a copy: what an earlier build left in the checkout is not packed, and nothing is left there."""
    shared = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("w")
    )
    built = shared / "dist"
    with FileLock(shared / "wheel.lock"):
        if not built.exists():
            source = shared / "source"
            source.mkdir()
            for name in PACKED:
                original = REPOSITORY / name
                if original.is_dir():
                    shutil.copytree(original, source / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(original, source)
            pip(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", str(built), str(source))
    (found,) = built.glob("*.whl")
    return found


def pip(python: Path, *words: str) -> None:
    done = subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def install(folder: Path, wheel: Path, python: str, extra: str = "") -> Installed:
    """The wheel in an environment of its own, with the versions of constraints.txt."""
    subprocess.run([python, "-m", "venv", str(folder / "environment")], check=True)
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    # Not compiled beforehand: most modules are never imported.
    constraints = str(REPOSITORY / "constraints.txt")
    pip(folder / "environment" / "bin" / "python", "install", "--no-compile", "--constraint", constraints, wanted)
    (folder / "empty").mkdir()
    return Installed(folder / "environment", folder / "empty")


@pytest.mark.parametrize("extra", ["", "postgres", "explore"])
def test_the_location_loads_doctor_examines_and_the_demo_runs(tmp_path: Path, wheel: Path, extra: str) -> None:
    works(install(tmp_path, wheel, sys.executable, extra), extra)


@pytest.mark.parametrize("version", [version for version in NEWER if version != THIS])
def test_so_they_do_with_every_python_that_is_promised(tmp_path: Path, wheel: Path, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"There is no Python {version} here.")
    works(install(tmp_path, wheel, python), "")


def works(installed: Installed, extra: str) -> None:
    loads = installed.run("python", "-c", LOADS)
    assert loads.code == 0, loads.output
    brought = {"": [], "postgres": ["psycopg2", "adbc_driver_postgresql"], "explore": ["marimo"]}
    assert loads.output.splitlines()[-1] == str(brought[extra])

    examined = installed.run("refersion-dagster", "doctor")
    assert examined.code == 1, examined.output
    assert "REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY are not set" in examined.output
    assert re.search(r"✓ versions +python 3\.", examined.output), examined.output
    assert "Traceback" not in examined.output
    assert "the doctor itself failed" not in examined.output

    example = installed.run("refersion-dagster", "env-example")
    assert example.output == (REPOSITORY / ".env.example").read_text("utf-8")

    demo = installed.run("refersion-dagster", "demo")
    assert demo.code == 0, demo.output
    passed, of = re.findall(r"(\d+) of (\d+) checks passed", demo.output)[0]
    assert passed == of
    assert (installed.folder / ".demo" / "reports" / "latest.html").is_file()

    folders = {
        f"REFERSION_{kind.upper()}_PATH": str(installed.folder / "sql" / kind) for kind in ("summaries", "checks")
    }
    written = installed.run("refersion-dagster", "new-summary", "by_currency", "--check", **folders)
    assert written.code == 0, written.output
    tried = installed.run("refersion-dagster", "check-sql", "--dialect", "all", **folders)
    assert tried.code == 0, tried.output
    assert "All passed" in tried.output

    if extra != "postgres":
        settings = {
            "REFERSION_DESTINATION": "postgres",
            "REFERSION_PUBLIC_KEY": "pub_1",
            "REFERSION_SECRET_KEY": "sec_1",
        }
        lacks = installed.run("python", "-m", "refersion_dagster.pipeline", **settings)
        assert lacks.code == 1
        assert "pip install 'dlt[postgres]' 'psycopg2-binary" in lacks.output
        assert "Traceback" not in lacks.output
    if extra != "explore":
        lacks = installed.run("refersion-dagster", "explore")
        assert lacks.code == 1
        assert "pip install 'marimo" in lacks.output


def too_old() -> Iterator[str]:
    return (version for version in TOO_OLD if interpreter(version))


def test_an_older_python_is_refused_by_name(tmp_path: Path, wheel: Path) -> None:
    promised = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"]
    assert not SpecifierSet(promised).contains("3.10.99")
    version = next(too_old(), None)
    if version is None:
        pytest.skip("There is no older Python here.")
    python = interpreter(version)
    assert python
    refused = subprocess.run(
        [python, "-m", "pip", "install", "--no-deps", "--target", str(tmp_path / "there"), str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert re.search(rf"requires a different Python: {re.escape(version)}\.\d+ not in '>=3\.11'", refused.stderr)

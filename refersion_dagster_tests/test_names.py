"""Names in the package: one class has one name, and the layers of its folders are those of its imports."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from refersion_dagster_tests.location import REPOSITORY, Location

PACKAGE = REPOSITORY / "refersion_dagster"
# A folder with more modules than these is to be divided.
MOST_MODULES = 15
MOST_LINES = 365


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 200
    return found


def test_a_class_name_is_there_once() -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(PACKAGE)))
    assert len(places) > 200
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_folders_and_modules_are_small() -> None:
    folders: defaultdict[Path, int] = defaultdict(int)
    for path in modules():
        folders[path.parent] += path.name != "__init__.py"
    large = {str(folder.relative_to(PACKAGE)): count for folder, count in folders.items() if count > MOST_MODULES}
    assert large == {}
    long = {str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert {path: lines for path, lines in long.items() if lines > MOST_LINES} == {}


@pytest.mark.processes
def test_imports_go_down_the_layers(tmp_path: Path) -> None:
    """The contracts of pyproject.toml, which `make lint` checks too; and one that is broken is noticed."""
    kept = Location.of(tmp_path).run("lint-imports", cwd=REPOSITORY)
    assert kept.code == 0, kept.output
    assert "0 broken" in kept.output
    contracts = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    backwards = contracts.replace('"refersion_dagster.refersion",\n  "refersion_dagster.settings",', "")
    changed = backwards.replace(
        '  "refersion_dagster.cli",\n', '  "refersion_dagster.settings",\n  "refersion_dagster.cli",\n'
    )
    (tmp_path / "pyproject.toml").write_text(changed, "utf-8")
    broken = Location.of(tmp_path).run("lint-imports", "--config", str(tmp_path / "pyproject.toml"), cwd=REPOSITORY)
    assert broken.code != 0
    assert "BROKEN" in broken.output

"""Loading the code location needs no key, no network, and writes no file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDITED = """
import json, os, sys

seen = []

def audit(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "os.mkdir", "os.rename", "os.remove",
                 "sqlite3.connect"):
        seen.append([event, repr(args)])
    elif event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC):
        if args[0] != os.devnull:
            seen.append([event, repr(args)])

sys.addaudithook(audit)
import refersion_dagster.definitions
print(json.dumps({"seen": seen, "modules": sorted(sys.modules)}))
"""


pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happens when the code location is loaded in an empty environment."""
    home, cwd = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("cwd")
    done = subprocess.run(
        [sys.executable, "-c", AUDITED],
        # Python's own caches are none of the code location's files.
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr, "home": home, "cwd": cwd}


def test_it_loads_without_a_word(loading: dict[str, Any]) -> None:
    assert loading["stderr"] == ""


def test_it_connects_to_nothing_and_opens_no_file_for_writing(loading: dict[str, Any]) -> None:
    assert loading["seen"] == []


@pytest.mark.parametrize("folder", ["home", "cwd"])
def test_it_leaves_no_file(loading: dict[str, Any], folder: str) -> None:
    left: Path = loading[folder]
    assert list(left.rglob("*")) == []


@pytest.mark.parametrize("module", ["pandas", "uvicorn", "starlette", "babel", "jinja2", "refersion_dagster.sandbox"])
def test_it_does_not_import_what_only_runs_or_demonstrations_need(loading: dict[str, Any], module: str) -> None:
    assert module not in loading["modules"]

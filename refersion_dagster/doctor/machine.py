"""Checks this machine: versions, disk space and Dagster's instance."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from refersion_dagster.automation.active_runs import is_ours
from refersion_dagster.dev import LOCATION_NAME
from refersion_dagster.doctor.findings import DoctorCheck, Status, failed, passed, skipped, warned
from refersion_dagster.installation import PACKAGE
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.records import DaemonState, daemon_states, location_names, open_records

VERSIONS, SPACE, DAGSTER = ("versions",), ("disk_space",), ("dagster_home", "daemon", "code_locations")
# Packages named in the message; the details have all of them.
SHOWN = ("dagster", "dlt", "duckdb")
GIGABYTE = 1_000_000_000
LEAST_SPACE, ENOUGH_SPACE = GIGABYTE // 5, GIGABYTE
HOME_VARIABLE = "DAGSTER_HOME"
# Usual name prefix of our schedules and sensors, and the period in which their activity counts.
OURS, LATELY = "refersion_", timedelta(days=7)


def find_existing(folder: Path) -> Path:
    """Returns the folder, or its nearest parent that exists."""
    return folder if folder.exists() else find_existing(folder.parent)


def write_probe(folder: Path) -> None:
    """Writes to a temporary file, which is deleted immediately. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"x" * 4096)
        probe.flush()


def check_versions() -> Iterator[DoctorCheck]:
    """Compares the version of every required package with its requirement."""
    found: dict[str, str] = {}
    wrong: list[str] = []
    needed: list[str] = []
    for text in metadata.requires(PACKAGE) or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            needed.append(f"{requirement.name}{requirement.specifier}")
            continue
        found[requirement.name] = version
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, but has to be {requirement.specifier}")
            needed.append(f"{requirement.name}{requirement.specifier}")
    details = {"python": platform.python_version(), PACKAGE: metadata.version(PACKAGE), **found}
    if wrong:
        yield failed(
            "versions", "; ".join(wrong), f"Install the required versions: pip install {shlex.join(needed)}", **details
        )
        return
    told = ", ".join(f"{name} {details[name]}" for name in ("python", PACKAGE, *SHOWN))
    yield passed("versions", told, **details)


def check_space(database: Path | None) -> Iterator[DoctorCheck]:
    """Checks the free space for the database and the files of a load.

    Args:
        database: the DuckDB file; None if the warehouse is on another machine.
    """
    temporary = Path(tempfile.gettempdir())
    folders = {"temporary files": temporary} | ({"the database": find_existing(database.parent)} if database else {})
    free = {what: shutil.disk_usage(folder).free for what, folder in folders.items()}
    # A staging table exists beside the old table.
    wanted = max(ENOUGH_SPACE, database.stat().st_size if database and database.exists() else 0)
    details = {what.replace(" ", "_"): {"folder": str(folders[what]), "free_bytes": free[what]} for what in folders}
    what = min(free, key=lambda what: free[what])
    told = f"{_size(free[what])} free for {what} in {folders[what]}"
    remedy = f"Free at least {_size(wanted)} there, or set REFERSION_DUCKDB_PATH or TMPDIR to another disk."
    if free[what] < LEAST_SPACE:
        yield failed("disk_space", told, remedy, **details)
    elif free[what] < wanted:
        yield warned("disk_space", told, remedy, **details)
    else:
        yield passed("disk_space", told, **details)


def _size(count: int) -> str:
    return f"{count / GIGABYTE:.1f} GB" if count >= GIGABYTE / 10 else f"{count / 1_000_000:.0f} MB"


def check_dagster(names: Namespace = USUAL) -> Iterator[DoctorCheck]:
    """Checks DAGSTER_HOME, the daemon and the names of the code location.

    Args:
        names: names of the account whose schedules, sensors and runs count.
    """
    home = _home(os.environ.get(HOME_VARIABLE))
    yield home
    home = home if home.status is not Status.WARNING else _check_default_home()
    folder = Path(str(home.details.get("folder", "")))
    # Do not create an instance in a folder that was never used.
    if home.status is not Status.OK or not any(path.is_dir() for path in folder.iterdir()):
        yield _no_daemon(names)
        yield passed("code_locations", "none was active yet", names=[])
        return
    with open_records(folder) as instance:
        yield _daemon(daemon_states(instance), names)
        active = location_names(instance, datetime.now(UTC) - LATELY, names.name(OURS), lambda run: is_ours(run, names))
        yield _locations(sorted(active), names)


def _check_default_home() -> DoctorCheck:
    """Returns the default instance folder, used without DAGSTER_HOME, if it exists."""
    folder = Path.cwd() / ".dagster"
    return passed("dagster_home", str(folder), folder=str(folder)) if folder.is_dir() else skipped("dagster_home", "")


def _home(value: str | None) -> DoctorCheck:
    if not value:
        return warned(
            "dagster_home",
            f"{HOME_VARIABLE} is not set: `refersion-dagster refresh` and `dev` keep their records in "
            f"{Path.cwd() / '.dagster'}, Dagster's own commands do not keep theirs",
            f"Set {HOME_VARIABLE} to one folder for all of them, e.g. {Path.cwd() / '.dagster'}.",
        )
    folder = Path(value).expanduser()
    if not folder.is_absolute() or not folder.is_dir():
        what = "is not an absolute path" if not folder.is_absolute() else "is not a folder"
        return failed(
            "dagster_home",
            f"{HOME_VARIABLE} ({value}) {what}, so Dagster does not start",
            f"Create the folder, or set {HOME_VARIABLE} to an existing one.",
            folder=value,
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return failed(
            "dagster_home",
            f"{HOME_VARIABLE} ({value}) is not writable: {error.strerror}",
            "Give the user that runs Dagster write permission there.",
            folder=value,
        )
    settings = folder / "dagster.yaml"
    try:
        yaml.safe_load(settings.read_text()) if settings.exists() else None
    except (OSError, yaml.YAMLError) as error:
        said = re.sub(r"\s+", " ", str(error))
        return failed("dagster_home", f"{settings} cannot be read: {said}", "Correct the file.", folder=value)
    return passed("dagster_home", str(folder), folder=str(folder))


def _no_daemon(names: Namespace, **details: Any) -> DoctorCheck:
    what = "not running: schedules and sensors do nothing"
    return warned("daemon", what, _how_to_start(names), **details)


def _how_to_start(names: Namespace) -> str:
    # The accounts of a project are started by Dagster's own command.
    command = "dg dev" if names.account else "refersion-dagster dev"
    return f"Start `{command}`, or `dagster-daemon run` with the same DAGSTER_HOME."


def _daemon(states: Sequence[DaemonState], names: Namespace) -> DoctorCheck:
    beats = [state.beat for state in states if state.beat]
    stopped = sorted(state.name for state in states if not state.is_healthy)
    details = {"stopped": stopped, "last_heartbeat": max(beats, default=None)}
    if len(stopped) == len(states):
        return _no_daemon(names, **details)
    if stopped:
        return warned(
            "daemon",
            f"{', '.join(stopped).lower()} of the daemon is not running",
            f"Its log says why. {_how_to_start(names)}",
            **details,
        )
    return passed("daemon", "running", **details)


def _locations(active: list[str], names: Namespace) -> DoctorCheck:
    """Checks that this code location is not active under two names, which Dagster treats as two locations."""
    if len(active) < 2:
        return passed("code_locations", f"one: {active[0]}" if active else "none was active yet", names=active)
    usual = f": location_name: {LOCATION_NAME} in workspace.yaml, as in `refersion-dagster dev`"
    return warned(
        "code_locations",
        f"this code location was active under {len(active)} names in the last {LATELY.days} days: "
        f"{', '.join(active)}. Schedules and sensors that are on under one name are off under the other, and "
        "schedules may start runs twice",
        f"Use one location_name everywhere{'' if names.account else usual}, and switch schedules and sensors on there.",
        names=active,
    )

"""Settings are read in one place: nothing else looks at the environment, and two configurations fit in one process."""

from __future__ import annotations

import ast
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from refersion_dagster.code_location import build_definitions
from refersion_dagster.settings import InvalidSetting, Settings
from refersion_dagster_tests.location import REPOSITORY

PACKAGE = REPOSITORY / "refersion_dagster"
# What is not ours is read where it is used, if no library reads it for us; and the demo has an environment of its own.
EXCEPTIONS = {
    "demo/environment.py": None,  # replaces the environment while the sandbox runs
    "dev.py": {"DAGSTER_HOME", "PYTHONWARNINGS"},
    "doctor/machine.py": {"DAGSTER_HOME"},
    "refersion/api/connections.py": {"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"},
    "refresh/run.py": {"DAGSTER_HOME"},
    "warehouse/dlt_internals/postgres_settings.py": {"PGPORT", "PGHOSTADDR", "PGSERVICE"},
    "warehouse/motherduck/credentials.py": {"MOTHERDUCK_TOKEN", "motherduck_token"},
    "warehouse/postgres/credentials.py": {"PGHOST"},
    "warehouse/spark/engine.py": {"SPARK_HOME"},
}
READERS = {"environ", "environb", "getenv", "getenvb", "dotenv_values", "load_dotenv"}


def uses(path: Path) -> list[str]:
    """What a module uses of what reads the environment."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in READERS:
            found.append(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "dotenv"):
            found += [name.name for name in node.names if name.name in READERS]
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path


def test_only_the_settings_read_the_environment() -> None:
    reading = {name for name, path in modules() if uses(path) and not name.startswith("settings/")}
    assert reading == EXCEPTIONS.keys()


@pytest.mark.parametrize("name", [name for name, variables in EXCEPTIONS.items() if variables])
def test_others_read_only_what_is_not_ours(name: str) -> None:
    text = (PACKAGE / name).read_text("utf-8")
    constants = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    assert EXCEPTIONS[name] <= constants  # pyright: ignore[reportOptionalOperand]
    assert "REFERSION_" not in "".join(line for line in text.splitlines() if "environ" in line)


def configuration(folder: Path, **variables: str) -> Settings:
    return Settings.of(
        {
            "REFERSION_DUCKDB_PATH": str(folder / "warehouse.duckdb"),
            "REFERSION_REPORT_PATH": str(folder / "reports"),
            "REFERSION_PUBLISH_PATH": str(folder / "published"),
            **variables,
        }
    )


def described(made: dg.Definitions) -> dict[str, Any]:
    """What differs between two accounts."""
    repository = made.get_repository_def()
    nightly, statements = map(repository.get_schedule_def, ("refersion_nightly", "refersion_statements"))
    months = made.resolve_job_def("refersion_backfill").partitions_def
    resources = made.resources or {}
    assert months
    return {
        "nightly": (nightly.cron_schedule, nightly.execution_timezone),
        "statements": (statements.cron_schedule, statements.execution_timezone),
        "activity": repository.get_sensor_def("refersion_activity").minimum_interval_seconds,
        "first month": months.get_first_partition_key(),
        "folders": [
            resources["warehouse"].duckdb_path,
            resources["reports"].folder,
            resources["publishing"].folder,
        ],
        "look-back": resources["refersion"].lookback_days,
    }


def test_two_configurations_fit_in_one_process(tmp_path: Path) -> None:
    before = dict(os.environ)
    one, other = tmp_path / "one", tmp_path / "other"
    first = configuration(
        one,
        REFERSION_NIGHTLY_CRON="0 1 * * *",
        REFERSION_SCHEDULE_TIMEZONE="Asia/Tokyo",
        REFERSION_REPORT_TIMEZONE="Europe/Berlin",
        REFERSION_ACTIVITY_SECONDS="60",
        REFERSION_START_DATE="2024-03-17",
        REFERSION_LOOKBACK_DAYS="30",
    )
    second = configuration(other, REFERSION_STATEMENTS_CRON="0 9 2 * *", REFERSION_ALLOW_WRITES="true")
    made = [described(build_definitions(settings)) for settings in (first, second)]
    assert made[0] == {
        "nightly": ("0 1 * * *", "Asia/Tokyo"),
        "statements": ("0 6 1 * *", "Europe/Berlin"),
        "activity": 60,
        "first month": "2024-03-01",
        "folders": [str(one / name) for name in ("warehouse.duckdb", "reports", "published")],
        "look-back": 30,
    }
    assert made[1] == {
        "nightly": ("0 3 * * *", "UTC"),
        "statements": ("0 9 2 * *", "UTC"),
        "activity": 300,
        "first month": "2015-01-01",
        "folders": [str(other / name) for name in ("warehouse.duckdb", "reports", "published")],
        "look-back": 120,
    }
    assert dict(os.environ) == before


def test_settings_never_look_at_an_environment_that_they_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFERSION_LOOKBACK_DAYS", "5")
    assert Settings.of({}).account.lookback_days == 120
    assert Settings.of().account.lookback_days == 5


def test_everything_that_is_wrong_is_named_at_once_and_no_secret_is() -> None:
    secret = "hunter2…"
    settings = Settings.of(
        {
            "REFERSION_LOOKBACK_DAYS": "many",
            "REFERSION_PII_SALT": secret,
            "REFERSION_HOURLY_CRON": "hourly",
            "REFERSION_RISING_DAYS": "0",
        }
    )
    with pytest.raises(InvalidSetting) as error:
        settings.check()
    assert str(error.value).splitlines() == [
        "REFERSION_LOOKBACK_DAYS is 'many'; it has to be a whole number.",
        "REFERSION_PII_SALT is a placeholder from an example: replace it with your own.",
        "REFERSION_RISING_DAYS is '0'; it has to be a whole number of days, from 1 to 3650.",
        "REFERSION_HOURLY_CRON is 'hourly'; it has to be a cron expression (minute, hour, day, month, weekday) such as "
        "'0 3 * * *'.",
    ]
    assert secret not in f"{settings!r} {''.join(traceback.format_exception(error.value))}"
    # The parts have defaults in their place.
    assert (settings.account.lookback_days, settings.schedules.hourly_cron) == (120, "15 * * * *")
    settings.check(["REFERSION_PII"])

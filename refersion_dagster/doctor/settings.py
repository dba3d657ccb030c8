"""Settings: present, well-formed, and known by their names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from refersion_dagster.actions.launching import ALLOW_WRITES
from refersion_dagster.automation.activity import INTERVAL_VARIABLE
from refersion_dagster.automation.alerts import LATE_VARIABLE, PAGE_VARIABLE
from refersion_dagster.automation.notify import URLS_VARIABLE
from refersion_dagster.automation.schedules import CADENCES, TIMEZONE_VARIABLE, schedules
from refersion_dagster.automation.statements import CRON_VARIABLE, statements_schedule
from refersion_dagster.doctor.findings import Check, failed, passed, warned
from refersion_dagster.doctor.given import Given
from refersion_dagster.ingest.webhook_events import INBOX_VARIABLES
from refersion_dagster.refersion import refersion_source
from refersion_dagster.refersion.auth import Credentials
from refersion_dagster.refersion.duckdb_file import MEMORY_VARIABLE
from refersion_dagster.refersion.environment import INTEGERS, VARIABLES
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.report.assets import PUBLISHING_VARIABLES
from refersion_dagster.report.folder import REPORTS_VARIABLES
from refersion_dagster.resources import WAREHOUSE_VARIABLES
from refersion_dagster.summaries.settings import SETTINGS_VARIABLES, ReportSettings
from refersion_dagster.warehouse.database import database
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.webhooks.signature import SECRET_VARIABLE

NAMES = ("settings", "setting_names", "key_pair", "token", "code_location")
KNOWN = frozenset(
    {
        *VARIABLES.values(),
        *WAREHOUSE_VARIABLES.values(),
        *SETTINGS_VARIABLES.values(),
        *INBOX_VARIABLES.values(),
        *PUBLISHING_VARIABLES.values(),
        *REPORTS_VARIABLES.values(),
        INTERVAL_VARIABLE,
        *(cadence.cron_variable for cadence in CADENCES),
        *(cadence.lookback_variable for cadence in CADENCES if cadence.lookback_variable),
        CRON_VARIABLE,
        *(TIMEZONE_VARIABLE, MEMORY_VARIABLE, URLS_VARIABLE, LATE_VARIABLE, PAGE_VARIABLE, ALLOW_WRITES),
        SECRET_VARIABLE,
    }
)
PREFIX = "REFERSION_"
# How alike two words are that may be meant to be one, from 0 to 1.
CLOSE = 0.7
# Settings of the source that it checks by itself.
CHECKED_BY_SOURCE = ("start_date", "pii", *sorted(INTEGERS))
WHERE_SET = "Correct it in .env or where the environment is set."


def look_at_settings(given: Given) -> Iterator[Check]:
    yield _values(given)
    yield _names(given)
    yield from _keys(given)
    yield _code_location()


def _values(given: Given) -> Check:
    wrong = list(_wrong_values(given))
    if wrong:
        return failed("settings", " ".join(wrong), WHERE_SET, wrong=wrong)
    where = {place: list(given.sources.values()).count(place) for place in ("environment", ".env")}
    told = [f"{count} in {'the ' if place == 'environment' else ''}{place}" for place, count in where.items() if count]
    return passed("settings", f"well-formed: {', '.join(told) or 'none is set'}", set=list(given.sources))


def _wrong_values(given: Given) -> Iterator[str]:
    """Each setting that a run would stumble over, in the words of the run."""
    for name in CHECKED_BY_SOURCE:
        value = given.values.get(name)
        if value is None:
            continue
        if name in INTEGERS and not value.strip().isdigit():
            yield f"{VARIABLES[name]} is {value!r}; it has to be a whole number."
            continue
        argument: dict[str, Any] = {name: int(value) if name in INTEGERS else value}
        if said := _said_by(lambda argument=argument: refersion_source(**argument)):
            yield said if VARIABLES[name] in said else f"{VARIABLES[name]}: {said}."
    for name in ("rest_url", "graphql_url"):
        value = given.values.get(name)
        if value is not None and not _is_address(value):
            yield f"{VARIABLES[name]} is no web address; it has to begin with https:// and name a host."
    environment = given.environment
    destination = environment.get(WAREHOUSE_VARIABLES["destination"]) or "duckdb"
    if said := _said_by(lambda: database(destination, environment.get(WAREHOUSE_VARIABLES["duckdb_path"]) or "x")):
        yield said
    yield from _wrong_numbers(environment, WAREHOUSE_VARIABLES["lock_timeout_seconds"], LATE_VARIABLE)
    for field, name in SETTINGS_VARIABLES.items():
        if value := environment.get(name):
            settings = ReportSettings(**{field: value})
            if said := _said_by(settings.parameters):
                yield said
    if said := _said_by(lambda: [*schedules(environment), statements_schedule(environment)]):
        yield said


def _wrong_numbers(environment: Mapping[str, str], *names: str) -> Iterator[str]:
    for name in names:
        value = environment.get(name)
        if value and not value.strip().isdigit():
            yield f"{name} is {value!r}; it has to be a whole number."


def _said_by(attempt: Callable[[], object]) -> str | None:
    """The words of the error that an attempt ends by; None when it works."""
    try:
        attempt()
    except WarehouseNotSet as error:
        return str(error.description)
    except ValueError as error:
        return str(error)
    return None


def _is_address(value: str) -> bool:
    try:
        address = urlsplit(value)
        return address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        return False


def _names(given: Given) -> Check:
    unknown = [name for name in given.sources if name not in KNOWN]
    if not unknown:
        return passed("setting_names", "every REFERSION_ variable is known")
    likely = {name: meant for name in unknown if (meant := _meant_by(name))}
    told = [f"{name} (is it {likely[name]}?)" if name in likely else name for name in unknown]
    return warned(
        "setting_names",
        f"nothing reads {', '.join(told)}",
        "Correct the name, or take the variable away; README.md lists them all.",
        unknown=unknown,
        likely=likely,
    )


def _meant_by(name: str) -> str | None:
    """The variable that a misspelt one is most like, but for what all have in common."""
    endings = [known.removeprefix(PREFIX) for known in KNOWN]
    matches = difflib.get_close_matches(name.removeprefix(PREFIX), endings, 1, CLOSE)
    return f"{PREFIX}{matches[0]}" if matches else None


def _keys(given: Given) -> Iterator[Check]:
    keys = Credentials(given.values.get("public_key"), given.values.get("api_key"), given.values.get("graphql_token"))
    if (keys.public_key or "").startswith("sec_") or (keys.secret_key or "").startswith("pub_"):
        yield failed(
            "key_pair",
            "public and secret key stand in each other's places",
            "Change them about: REFERSION_PUBLIC_KEY begins with pub_, REFERSION_SECRET_KEY with sec_.",
        )
    else:
        yield _given("key_pair", keys.rest, "public and secret key are set")
    yield _given("token", keys.graphql, "the GraphQL token is set")


def _given(name: str, take: Callable[[], object], well: str) -> Check:
    try:
        take()
    except RefersionError as error:
        return failed(name, error.what, str(error.advice))
    return passed(name, well)


def _code_location() -> Check:
    """Whether Dagster can load the code location with these settings."""
    try:
        from refersion_dagster.definitions import defs
    except Exception as error:  # noqa: BLE001 - whatever keeps it from loading is what is asked for here
        return failed(
            "code_location",
            f"Dagster cannot load it: {type(error).__name__}: {error}",
            "Correct what the message names; without the code location nothing runs.",
        )
    assets = len(list(defs.resolve_all_asset_specs()))
    return passed("code_location", f"loads, with {assets} assets", assets=assets)

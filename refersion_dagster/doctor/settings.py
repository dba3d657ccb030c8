"""Settings: present, well-formed, and known by their names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import duckdb

from refersion_dagster.automation.activity import INTERVAL_VARIABLE, interval
from refersion_dagster.automation.alerts import LATE_VARIABLE, PAGE_VARIABLE, late_after
from refersion_dagster.automation.channels import URLS_VARIABLE, unusable
from refersion_dagster.automation.schedules import CADENCES, TIMEZONE_VARIABLE, cron_of, schedule
from refersion_dagster.automation.statements import CRON, CRON_VARIABLE
from refersion_dagster.doctor.costs import cost_of
from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, warned
from refersion_dagster.doctor.inputs import DoctorInputs
from refersion_dagster.documentation import page
from refersion_dagster.ingest.webhooks.events import INBOX_VARIABLES
from refersion_dagster.refersion import refersion_source
from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.environment import INTEGERS, VARIABLES
from refersion_dagster.refersion.errors import MissingCredentials, RefersionError, UnusableSetting
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.report.assets import PUBLISHING_VARIABLES
from refersion_dagster.report.resource import REPORTS_VARIABLES
from refersion_dagster.resources import WAREHOUSE_VARIABLES
from refersion_dagster.settings import ALLOW_WRITES, is_template, said_of_templates, whole_number, writes_allowed
from refersion_dagster.summaries.settings import SETTINGS_VARIABLES, ReportSettings
from refersion_dagster.warehouse.database import database
from refersion_dagster.warehouse.duckdb.destination import MEMORY_VARIABLE, limit_memory
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.webhooks.signature import SECRET_VARIABLE

NAMES = ("settings", "setting_sources", "setting_names", "key_pair", "token", "code_location")
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
SETTINGS_PAGE = "docs/settings.md"
# Similarity from which an unknown name counts as a misspelt one, from 0 to 1.
CLOSE, CLOSEST = 0.7, 0.9
# Names that other programs have for the same, and that nobody finds by likeness.
OTHER_NAMES = {
    "REFERSION_API_KEY": VARIABLES["api_key"],
    "REFERSION_API_SECRET": VARIABLES["api_key"],
    "REFERSION_PRIVATE_KEY": VARIABLES["api_key"],
    "REFERSION_KEY": VARIABLES["public_key"],
    "REFERSION_TOKEN": VARIABLES["graphql_token"],
    "REFERSION_ACCESS_TOKEN": VARIABLES["graphql_token"],
    "REFERSION_DATABASE": WAREHOUSE_VARIABLES["duckdb_path"],
    "REFERSION_TIMEZONE": SETTINGS_VARIABLES["report_timezone"],
}
REST_TABLES = [entity.name for entity in ENTITIES.values() if not entity.is_graphql]
GRAPHQL_TABLES = [entity.name for entity in ENTITIES.values() if entity.is_graphql]
# Settings that the source validates.
CHECKED_BY_SOURCE = ("start_date", "pii", *sorted(INTEGERS))
# Keys have their own checks.
OTHER_SECRETS = (VARIABLES["pii_salt"], SECRET_VARIABLE, URLS_VARIABLE, "DESTINATION__POSTGRES__CREDENTIALS")
LOCK_TIMEOUT = WAREHOUSE_VARIABLES["lock_timeout_seconds"]
WHERE_SET = "Correct it in .env or in the environment."


def check_variables(given: DoctorInputs) -> Iterator[DoctorCheck]:
    yield _values(given)
    yield _sources(given)
    yield _names(given)
    yield from _keys(given)
    yield _code_location()


def _values(given: DoctorInputs) -> DoctorCheck:
    wrong = list(wrong_values(given))
    if wrong:
        return failed("settings", " ".join(wrong), WHERE_SET, wrong=wrong)
    return passed("settings", "valid" if given.ours else "valid: none is set", set=given.ours)


def _sources(given: DoctorInputs) -> DoctorCheck:
    """Where each value comes from; never the value."""
    settings = given.settings
    places: dict[str, list[str]] = {}
    for name, place in settings.sources.items():
        if given.environment.get(name):
            places.setdefault(place, []).append(name)
    in_dlt = [name for name in given.values if not given.environment.get(VARIABLES[name])]
    if in_dlt:
        places["dlt's configuration"] = [f"[sources.refersion_source] {name}" for name in in_dlt]
    told = "; ".join(f"{place}: {', '.join(names)}" for place, names in places.items()) or "nothing is set"
    doubts = [
        f"{name} also has another value in {settings.path}; "
        f"{'both have to be true' if name == ALLOW_WRITES else 'the environment takes precedence'}."
        for name in settings.overruled
    ]
    doubts += [f"{settings.path}: {line}." for line in settings.unreadable]
    if doubts:
        return warned(
            "setting_sources",
            f"{' '.join(doubts)} {told}",
            "Remove the value that you do not want, in the environment or in .env.",
            sources=places,
            overruled=list(settings.overruled),
            unreadable=list(settings.unreadable),
        )
    return passed("setting_sources", told, sources=places, overruled=[], unreadable=[])


def wrong_values(given: DoctorInputs) -> Iterator[str]:
    """Each setting that a run would stumble over, in the words of the run."""
    for name in CHECKED_BY_SOURCE:
        value = given.values.get(name)
        if value is None:
            continue
        variable = VARIABLES[name]
        if said := _said_by(lambda name=name, value=value: _try_source(name, value)):
            yield said if variable in said else f"{variable}: {said}."
    for name in ("rest_url", "graphql_url"):
        value = given.values.get(name)
        if value is not None and not _is_address(value):
            yield f"{VARIABLES[name]} is not a valid URL; it has to begin with https:// and contain a host."
    environment = given.environment
    attempts: list[Callable[[], object]] = [
        lambda: database(
            environment.get(WAREHOUSE_VARIABLES["destination"]) or "duckdb",
            environment.get(WAREHOUSE_VARIABLES["duckdb_path"]) or "x",
        ),
        lambda: whole_number(LOCK_TIMEOUT, environment.get(LOCK_TIMEOUT) or "0"),
        _try_memory,
        lambda: late_after(environment),
        lambda: interval(environment),
        writes_allowed,
        *(lambda cadence=cadence: schedule(cadence, environment) for cadence in CADENCES),
        lambda: cron_of(CRON_VARIABLE, CRON, environment),
    ]
    for field, name in SETTINGS_VARIABLES.items():
        if value := environment.get(name):
            attempts.append(ReportSettings(**{field: value}).parameters)
    yield from dict.fromkeys(said for attempt in attempts if (said := _said_by(attempt)))
    for name in OTHER_SECRETS:
        if is_template(environment.get(name) or ""):
            yield said_of_templates([name])
    yield from unusable(environment)


def _try_source(name: str, value: str) -> None:
    # Alone: the other settings of the environment are tried separately.
    argument: dict[str, Any] = {name: whole_number(VARIABLES[name], value) if name in INTEGERS else value}
    refersion_source(**argument, use_environment=False)


def _try_memory() -> None:
    with duckdb.connect(":memory:") as connection:
        limit_memory(connection)


def _said_by(attempt: Callable[[], object]) -> str | None:
    """The words of the error that an attempt ends by; None when it works."""
    try:
        attempt()
    except WarehouseNotSet as error:
        return str(error)
    except UnusableSetting as error:
        return error.what
    except ValueError as error:
        return str(error)
    return None


def _is_address(value: str) -> bool:
    try:
        address = urlsplit(value)
        return address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        return False


def _names(given: DoctorInputs) -> DoctorCheck:
    unknown = [name for name in given.ours if name not in KNOWN]
    unknown += [name for name in given.settings.file if not name.startswith(PREFIX) and _meant_by(name)]
    if not unknown:
        return passed("setting_names", "every REFERSION_ variable is known")
    likely = {name: meant for name in unknown if (meant := _meant_by(name))}
    told = [f"{name} (did you mean {likely[name]}?)" if name in likely else name for name in unknown]
    return warned(
        "setting_names",
        f"unknown: {', '.join(told)}",
        f"Correct the name or remove the variable. {page(SETTINGS_PAGE) or SETTINGS_PAGE} lists them all.",
        unknown=unknown,
        likely=likely,
    )


def _meant_by(name: str) -> str | None:
    """The variable that a misspelt one is most like, but for what all have in common."""
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    if not name.startswith(PREFIX):
        return next(iter(difflib.get_close_matches(name.upper(), KNOWN, 1, CLOSEST)), None)
    endings = [known.removeprefix(PREFIX) for known in KNOWN]
    matches = difflib.get_close_matches(name.removeprefix(PREFIX), endings, 1, CLOSE)
    return f"{PREFIX}{matches[0]}" if matches else None


def _keys(given: DoctorInputs) -> Iterator[DoctorCheck]:
    keys = Credentials(given.values.get("public_key"), given.values.get("api_key"), given.values.get("graphql_token"))
    if (keys.public_key or "").startswith("sec_") or (keys.secret_key or "").startswith("pub_"):
        yield failed(
            "key_pair",
            "public and secret key are swapped",
            "Swap them: REFERSION_PUBLIC_KEY begins with pub_, REFERSION_SECRET_KEY with sec_.",
        )
    elif not keys.has_rest and not keys.has_half_a_pair and keys.has_graphql:
        yield warned(
            "key_pair",
            "not set: tables that are read through REST are skipped",
            f"{cost_of(REST_TABLES)} Set REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY to load them.",
        )
    else:
        yield _given("key_pair", keys.rest, "public and secret key are set")
    lost = f"Without it {', '.join(GRAPHQL_TABLES)} are not loaded, and no summary or report is built."
    yield _given("token", keys.graphql, "the GraphQL token is set", lost)


def _given(name: str, take: Callable[[], object], well: str, lost: str = "") -> DoctorCheck:
    try:
        take()
    except MissingCredentials as error:
        return failed(name, f"{error.what} {lost}".rstrip(), str(error.advice))
    except RefersionError as error:
        return failed(name, error.what, str(error.advice))
    return passed(name, well)


def _code_location() -> DoctorCheck:
    """Whether Dagster can load the code location with these settings."""
    try:
        from refersion_dagster.definitions import defs
    except Exception as error:  # noqa: BLE001 - any error that prevents loading is the result here
        return failed(
            "code_location",
            f"Dagster cannot load it: {type(error).__name__}: {error}",
            "Fix the cause named in the message; nothing runs without the code location.",
        )
    assets = len(list(defs.resolve_all_asset_specs()))
    return passed("code_location", f"loads, with {assets} assets", assets=assets)

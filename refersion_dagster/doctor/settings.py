"""Checks settings: values, sources, names and keys."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator

from refersion_dagster.doctor.costs import cost_of
from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, warned
from refersion_dagster.doctor.inputs import DoctorInputs
from refersion_dagster.documentation import page
from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.errors import MissingCredentials, RefersionError
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.settings import ALLOW_WRITES, VARIABLES, AccountSettings
from refersion_dagster.settings.part import PREFIX

NAMES = ("settings", "setting_sources", "setting_names", "key_pair", "token", "code_location")
SETTINGS_PAGE = "docs/settings.md"
# Minimum similarity, 0 to 1, at which an unknown name counts as misspelled.
CLOSE, CLOSEST = 0.7, 0.9
# Names that other programs use for the same settings, which similarity does not find.
OTHER_NAMES = {
    "REFERSION_API_KEY": "REFERSION_SECRET_KEY",
    "REFERSION_API_SECRET": "REFERSION_SECRET_KEY",
    "REFERSION_PRIVATE_KEY": "REFERSION_SECRET_KEY",
    "REFERSION_KEY": "REFERSION_PUBLIC_KEY",
    "REFERSION_TOKEN": "REFERSION_GRAPHQL_TOKEN",
    "REFERSION_ACCESS_TOKEN": "REFERSION_GRAPHQL_TOKEN",
    "REFERSION_DATABASE": "REFERSION_DUCKDB_PATH",
    "REFERSION_TIMEZONE": "REFERSION_REPORT_TIMEZONE",
}
REST_TABLES = [entity.name for entity in ENTITIES.values() if not entity.is_graphql]
GRAPHQL_TABLES = [entity.name for entity in ENTITIES.values() if entity.is_graphql]
WHERE_SET = "Correct it in .env or in the environment."


def check_variables(inputs: DoctorInputs) -> Iterator[DoctorCheck]:
    yield _values(inputs)
    yield _sources(inputs)
    yield _names(inputs)
    yield from _keys(inputs)
    yield _code_location(inputs)


def _values(inputs: DoctorInputs) -> DoctorCheck:
    wrong = inputs.problems
    if wrong:
        return failed("settings", " ".join(wrong), WHERE_SET, wrong=wrong)
    return passed("settings", "valid" if inputs.ours else "valid: none is set", set=inputs.ours)


def _sources(inputs: DoctorInputs) -> DoctorCheck:
    """Reports the source of each value, never the value."""
    settings = inputs.settings
    places: dict[str, list[str]] = {}
    for name, place in settings.sources.items():
        if name.removeprefix(settings.prefix) in settings.variables:
            places.setdefault(place, []).append(name)
    in_dlt = [name for name in inputs.values if AccountSettings.variable(name) not in settings.variables]
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


def _names(inputs: DoctorInputs) -> DoctorCheck:
    unknown = [name for name in inputs.ours if name not in VARIABLES]
    # Of the usual account only: a component's project has other variables.
    others = inputs.settings.file if not inputs.settings.prefix else ()
    unknown += [name for name in others if not name.startswith(PREFIX) and _suggest_variable(name)]
    if not unknown:
        return passed("setting_names", "every REFERSION_ variable is known")
    likely = {name: meant for name in unknown if (meant := _suggest_variable(name))}
    told = [f"{name} (did you mean {likely[name]}?)" if name in likely else name for name in unknown]
    return warned(
        "setting_names",
        f"unknown: {', '.join(told)}",
        f"Correct the name or remove the variable. {page(SETTINGS_PAGE) or SETTINGS_PAGE} lists them all.",
        unknown=unknown,
        likely=likely,
    )


def _suggest_variable(name: str) -> str | None:
    """Returns the variable most similar to a misspelled one, ignoring the common prefix."""
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    if not name.startswith(PREFIX):
        return next(iter(difflib.get_close_matches(name.upper(), VARIABLES, 1, CLOSEST)), None)
    endings = [known.removeprefix(PREFIX) for known in VARIABLES]
    matches = difflib.get_close_matches(name.removeprefix(PREFIX), endings, 1, CLOSE)
    return f"{PREFIX}{matches[0]}" if matches else None


def _keys(inputs: DoctorInputs) -> Iterator[DoctorCheck]:
    keys = Credentials(
        inputs.values.get("public_key"), inputs.values.get("api_key"), inputs.values.get("graphql_token")
    )
    if inputs.settings.account.exports_path:
        if keys.public_key or keys.secret_key or keys.graphql_token:
            both = "REFERSION_EXPORTS_PATH and keys are both set"
            yield failed("key_pair", both, "Remove one of them: an account is read from exports or by API.")
        else:
            yield passed("key_pair", "not needed: the account is read from exports")
        yield passed("token", "not needed: the account is read from exports")
        return
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
        yield _check_value("key_pair", keys.rest, "public and secret key are set")
    lost = f"Without it {', '.join(GRAPHQL_TABLES)} are not loaded, and no summary or report is built."
    yield _check_value("token", keys.graphql, "the GraphQL token is set", lost)


def _check_value(name: str, take: Callable[[], object], well: str, lost: str = "") -> DoctorCheck:
    try:
        take()
    except MissingCredentials as error:
        return failed(name, f"{error.what} {lost}".rstrip(), str(error.advice))
    except RefersionError as error:
        return failed(name, error.what, str(error.advice))
    return passed(name, well)


def _code_location(inputs: DoctorInputs) -> DoctorCheck:
    """Checks that Dagster can load the code location with these settings."""
    try:
        specs = list(inputs.build().resolve_all_asset_specs())
    except Exception as error:  # noqa: BLE001 - any error that prevents loading is the result
        return failed(
            "code_location",
            f"Dagster cannot load it: {type(error).__name__}: {error}",
            "Fix the cause named in the message; nothing runs without the code location.",
        )
    return passed("code_location", f"loads, with {len(specs)} assets", assets=len(specs))

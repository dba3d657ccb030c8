"""Checks Refersion's GraphQL API: connection, token, introspection, the fields of each table, page size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from refersion_dagster.doctor.costs import cost_of
from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, skipped, warned
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.graphql import PAGE_SIZE, GraphQLClient
from refersion_dagster.refersion.api.query import FieldSelection, list_not_loaded
from refersion_dagster.refersion.errors import (
    NOT_OFFERED,
    FieldNotOffered,
    InvalidCredentials,
    MissingCredentials,
    NotInPlan,
    RefersionError,
)
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.extract.page_assembler import Slice
from refersion_dagster.refersion.tables.catalog import CLICKS, ENTITIES, Entity
from refersion_dagster.refersion.windows import Window, whole_second

TABLES = tuple(entity for entity in ENTITIES.values() if entity.is_graphql)
FIELDS = tuple(f"fields_{entity.name}" for entity in TABLES)
NAMES = ("graphql_connection", "graphql_token", "introspection", *FIELDS, "graphql_pages")
CHECK_ADDRESS = "Check the network, HTTPS_PROXY and REFERSION_GRAPHQL_URL."
PLAN = "GraphQL requires Refersion's Growth plan or higher; ask Refersion's support to enable it."
# Maximum number of names in a message; the details have all of them.
MOST_SHOWN = 5


def check_graphql(account: RefersionClient) -> Iterator[DoctorCheck]:
    try:
        client = account.graphql
    except (MissingCredentials, InvalidCredentials):
        yield from (skipped(name, "no token set") for name in NAMES)
        return
    host = urlsplit(client.url).hostname or client.url
    began = time.monotonic()
    try:
        schema = client.schema()
    except RefersionError as error:
        yield from _unusable(error, host)
        return
    took = round(1000 * (time.monotonic() - began))
    yield passed("graphql_connection", f"{host} answers in {took} ms", host=host, milliseconds=took)
    selections: dict[str, FieldSelection] = {}
    fields: list[DoctorCheck] = []
    for entity in TABLES:
        try:
            selections[entity.name] = client.select(entity)
            fields.append(_fields(selections[entity.name], list_not_loaded(schema, selections[entity.name])))
        except InvalidCredentials as error:  # the server refused introspection before it checked the token
            yield _refused(error)
            yield from (skipped(name, "token not accepted") for name in NAMES[2:])
            return
        except RefersionError as error:
            fields.append(_report_missing_entity(entity, error))
    yield passed("graphql_token", "accepted")
    if schema is not None:
        yield passed("introspection", "allowed: the account's own schema is read")
    else:
        yield warned(
            "introspection",
            "refused: the fields of this account are determined by trial queries",
            "No action is required. New fields in Refersion will not be detected; Refersion's support may be "
            "able to enable introspection.",
        )
    yield from fields
    yield _pages(client, selections)


def _unusable(error: RefersionError, host: str) -> Iterator[DoctorCheck]:
    if isinstance(error, InvalidCredentials | NotInPlan):
        yield passed("graphql_connection", f"{host} answers", host=host)
        yield _refused(error)
        yield from (skipped(name, "token not accepted") for name in NAMES[2:])
        return
    said = f': "{error.said}"' if error.said else ""
    yield failed("graphql_connection", f"{host}: {error.what.rstrip('.')}{said}", CHECK_ADDRESS, host=host)
    yield from (skipped(name, f"{host} does not respond like Refersion") for name in NAMES[1:])


def _refused(error: RefersionError) -> DoctorCheck:
    remedy = PLAN if isinstance(error, NotInPlan) else str(error.advice)
    return failed("graphql_token", f"refused: {error.said or error.what}", remedy)


def _fields(selection: FieldSelection, not_loaded: Mapping[str, str]) -> DoctorCheck:
    """Checks a table's fields: which are offered, what happens to missing ones, and which are not loaded."""
    entity = selection.entity
    lacking = [column.name for column in selection.missing]
    known = len(selection.columns) + len(lacking)
    fillable = {name for name, _ in entity.filled_by_filter}
    filled = [name for name in lacking if name in fillable]
    empty = [name for name in lacking if name not in fillable]
    name = f"fields_{entity.name}"
    details = {
        "known": known,
        "lacking": lacking,
        "further": list(selection.extras),
        "filled_by_filter": filled,
        "not_loaded": dict(not_loaded),
    }
    further = f", plus unknown ones: {_shorten(selection.extras)}" if selection.extras else ""
    further += f"; offered but not loaded: {_shorten(list(not_loaded))}" if not_loaded else ""
    if not lacking:
        return passed(name, f"all {known} known fields{further}", **details)
    told = f"{known - len(lacking)} of {known} known fields; missing: {_shorten(lacking)}{further}"
    remedies = []
    if filled:
        remedies.append(f"{_shorten(filled)} will be read with one pass per value.")
    if "is_test_conversion" in empty:
        looked_for = (
            "Test conversions are searched for through Refersion's totals; the ones that cannot be identified this way"
        )
        remedies.append(f"{looked_for} count in every figure.")
    if empty:
        remedies.append("Missing fields stay empty; Refersion's support may be able to enable them.")
    return warned(name, told, " ".join(remedies), **details)


def _report_missing_entity(entity: Entity, error: RefersionError) -> DoctorCheck:
    if entity is CLICKS and isinstance(error, FieldNotOffered):
        return warned(
            f"fields_{entity.name}",
            error.what.rstrip("."),
            "Conversion rates and earnings per click stay empty; Refersion's support may be able to enable clicks.",
            known=len(entity.columns),
        )
    offered = not isinstance(error, FieldNotOffered)
    said = f': "{error.said}"' if error.said else ""
    if isinstance(error, NOT_OFFERED) and not entity.needed:
        return warned(
            f"fields_{entity.name}",
            f"{error.what.rstrip('.')}{said}",
            f"{cost_of([entity.name])} Refersion's support may be able to enable it.",
            known=len(entity.columns),
        )
    return failed(
        f"fields_{entity.name}",
        f"{error.what.rstrip('.')}{said}",
        str(error.advice or ("Try again later." if offered else "Ask Refersion's support to enable it.")),
        known=len(entity.columns),
    )


def _shorten(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _pages(client: GraphQLClient, selections: dict[str, FieldSelection]) -> DoctorCheck:
    """Reads one full page of conversions, with ids only."""
    selection = selections.get("conversions")
    if selection is None:
        return skipped("graphql_pages", "conversions not available")
    ids = replace(selection, columns=tuple(c for c in selection.columns if c.name == "id"), extras=())
    everything = Window(BEGINNING, whole_second(datetime.now(UTC)))
    try:
        page = client.fetch(ids, Slice(everything, everything), 0, PAGE_SIZE)
    except RefersionError as error:
        said = f': "{error.said}"' if error.said else ""
        return failed("graphql_pages", f"conversions: {error.what.rstrip('.')}{said}", "Try again later.")
    rows, total = len(page.ids), page.total
    details = {"asked_for": PAGE_SIZE, "rows": rows, "conversions": total}
    if rows < PAGE_SIZE and total is not None and total > rows:
        return warned(
            "graphql_pages",
            f"pages of {rows} conversions instead of the requested {PAGE_SIZE}",
            "No data is lost, but a refresh needs more requests. Refersion's support may know the reason.",
            **details,
        )
    of = f"{total:,} conversions" if total is not None else f"{rows} read"
    return passed("graphql_pages", f"{PAGE_SIZE} conversions per page ({of})", **details)

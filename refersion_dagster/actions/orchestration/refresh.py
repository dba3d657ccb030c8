"""Reads around a write: existing credits before new ones are sent, and the changed rows afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from refersion_dagster.actions.operations.catalog import AffectedData, Endpoint
from refersion_dagster.actions.operations.item_key import PlannedItem
from refersion_dagster.ingest.history.conversions import TABLE as HISTORY
from refersion_dagster.refersion import LoadRequest
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import RefersionResource, Warehouse

CONVERSION_TABLES = ("conversions", HISTORY, "conversion_totals")


@dataclass(frozen=True)
class Refresh:
    """A request to read raw tables again.

    Args:
        tables: raw tables; empty if there is nothing to read.
        request: which rows to read.
        why_not: why nothing is read although rows changed.
    """

    tables: Sequence[str] = ()
    request: LoadRequest = field(default_factory=LoadRequest)
    why_not: str | None = None


def plan_refresh_before(endpoint: Endpoint, refersion: RefersionResource, warehouse: Warehouse) -> Refresh:
    """Returns what to read before sending: credits that only another warehouse's journal may have.

    Each credit has a reference in its notes, which the preflight looks up in the conversions.
    """
    if "notes" not in endpoint.item.model_fields or not refersion.graphql_token:
        return Refresh()
    loaded = warehouse.row_counts(CONVERSION_TABLES)
    return Refresh([table for table in ("conversions", HISTORY) if table in loaded], LoadRequest(lookback_days=0))


def plan_refresh_after(
    endpoint: Endpoint, done: Sequence[PlannedItem], refersion: RefersionResource, warehouse: Warehouse
) -> Refresh:
    """Returns what to read again after these items were carried out, or may have been."""
    if not done or endpoint.touches is AffectedData.NOTHING:
        return Refresh()
    if endpoint.touches is AffectedData.AFFILIATES:
        tables = ["affiliate_list", "affiliate_get", *(["affiliates"] if refersion.graphql_token else [])]
        return Refresh(tables, LoadRequest(details_of=_codes(done, warehouse)))
    if not refersion.graphql_token:
        return Refresh(why_not="conversions are read through GraphQL, and REFERSION_GRAPHQL_TOKEN is not set")
    loaded = [table for table in CONVERSION_TABLES if table in warehouse.row_counts(CONVERSION_TABLES)]
    if "conversions" not in loaded:
        return Refresh(why_not="conversions were never loaded")
    # Reads from the last reading, or from the oldest conversion concerned, without gaps, because Refersion's totals
    # are read in the same load and must count the same conversions.
    days = _age_in_days(done, warehouse) if endpoint.touches is AffectedData.CONVERSIONS else 0
    return Refresh(loaded, LoadRequest(lookback_days=days))


def _codes(done: Sequence[PlannedItem], warehouse: Warehouse) -> frozenset[str]:
    """Returns the ids of the affiliates concerned in both forms that the list may have: numbers and codes."""
    numbers = {str(one.item.content()["affiliate_id"]) for one in done if "affiliate_id" in one.item.content()}
    rows = _select_by_ids(warehouse, "affiliate_get", "affiliate_code", numbers)
    return frozenset(numbers | {code for (code,) in rows if code})


def _age_in_days(done: Sequence[PlannedItem], warehouse: Warehouse) -> int:
    """Returns the days from the oldest conversion concerned to the last reading, by Refersion's clock, rounded up."""
    ids = {str(one.item.content()["conversion_id"]) for one in done}
    oldest = min((created for (created,) in _select_by_ids(warehouse, "conversions", "created", ids)), default=None)
    ((last_read,),) = warehouse.query(f"SELECT max(read_at) FROM {DATASET}.conversions")  # noqa: S608
    return math.ceil((last_read - oldest).total_seconds() / 86_400) if oldest else 0


def _select_by_ids(warehouse: Warehouse, table: str, column: str, ids: set[str]) -> list[Any]:
    if not ids or table not in warehouse.row_counts([table]):
        return []
    query = exp.select(column).from_(f"{DATASET}.{table}").where(exp.column("id").isin(*map(exp.Literal.string, ids)))
    with warehouse.session() as session:
        return session.query(query)

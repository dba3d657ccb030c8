"""Shows what a step's statements cost with its results, in databases that are billed by bytes or by time."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import dagster as dg

from refersion_dagster.terminal import number_of
from refersion_dagster.usage.meter import METER, Usage

BYTES_BILLED, SLOT_SECONDS, STATEMENT_SECONDS = "bytes_billed", "slot_seconds", "statement_seconds"
NOT_REPORTED = "bytes_billed_not_reported"

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def show_costs(compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Wraps the function of an asset or check, so that each result has what was spent since the one before."""
    if inspect.isgeneratorfunction(compute):

        @functools.wraps(compute)
        def results(*args: Any, **kwargs: Any) -> Any:
            before = METER.read()
            for result in compute(*args, **kwargs):
                now = METER.read()
                yield with_costs(result, now - before)
                before = now

        return results

    @functools.wraps(compute)
    def result(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        before = METER.read()
        return with_costs(compute(*args, **kwargs), METER.read() - before)

    return result


def with_costs(result: Any, usage: Usage) -> Any:
    """The result of an asset or check with the usage in its metadata; unchanged if nothing has a price."""
    costs = describe_costs(usage)
    if costs and isinstance(result, dg.AssetCheckResult):
        return result.with_metadata({**result.metadata, **costs})
    if costs and isinstance(result, dg.MaterializeResult):
        return dg.MaterializeResult(
            asset_key=result.asset_key,
            metadata={**(result.metadata or {}), **costs},
            check_results=result.check_results,
            data_version=result.data_version,
            tags=result.tags,
            value=result.value,
        )
    return result


def summarize_costs(usage: Usage) -> str:
    """A sentence about what a run's statements cost, after a space; empty where statements are not billed."""
    told = ""
    if usage.priced:
        least = "at least " if usage.unpriced else ""
        slots = f" ({usage.slot_milliseconds / 1000:,.0f} slot seconds)"
        told += f" The warehouse billed {least}{usage.bytes_billed / 1e9:,.2f} GB{slots}."
    elif usage.unpriced:
        told += " The warehouse did not report the bytes that it bills."
    if usage.timed:
        told += f" Statements took {usage.seconds:,.0f} s in the warehouse, loads not counted."
    return told


def describe_costs(usage: Usage) -> Mapping[str, Any]:
    """Metadata of what is billed; empty where statements are not."""
    costs: dict[str, Any] = {}
    if usage.priced:
        costs |= {BYTES_BILLED: usage.bytes_billed, SLOT_SECONDS: usage.slot_milliseconds / 1000}
    if usage.unpriced:
        costs[NOT_REPORTED] = (
            f"BigQuery did not report the bytes of {number_of(usage.unpriced, 'statement', 'statements or loads')}. "
            "For loads, grant bigquery.jobs.list (roles/bigquery.user)."
        )
    if usage.timed:
        costs[STATEMENT_SECONDS] = round(usage.seconds, 3)
    return costs

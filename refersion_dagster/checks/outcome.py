"""Results of checks, as Dagster shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from sqlglot import exp

from refersion_dagster.summaries.markdown import markdown_table
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql import Value, bind, parse

ROWS_SHOWN = 20
# Metadata key of a check that passed but could not compare everything.
NOT_COMPARED = "not_compared"
# How its description begins.
NOT_EVALUATED = "Not evaluated:"


@dataclass(frozen=True)
class OffendingRows:
    """The number of offending rows, and the first of them."""

    count: int
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def find_offending_rows(session: Session, select: str | exp.Query, settings: Mapping[str, Value]) -> OffendingRows:
    """Runs a SELECT that returns offending rows."""
    tree = bind(parse(select) if isinstance(select, str) else select, settings)
    found = exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("found")))
    ((count,),) = session.compute(exp.select("count(*)").from_(found))
    rows = session.compute(exp.select("*").from_(found).limit(ROWS_SHOWN)) if count else []
    return OffendingRows(int(count), tuple(tree.named_selects) if isinstance(tree, exp.Query) else (), rows)


def result(
    found: OffendingRows,
    name: str,
    asset: dg.AssetKey,
    description: str,
    meaning: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Returns the check's result with a description and the offending rows."""
    metadata: dict[str, Any] = {"offending_rows": found.count}
    if found.count:
        metadata["rows"] = dg.MetadataValue.md(markdown_table(found.columns, found.rows))
        metadata["meaning"] = meaning
    return dg.AssetCheckResult(
        passed=not found.count,
        asset_key=asset,
        check_name=name,
        severity=severity,
        description=meaning if found.count else description,
        metadata=metadata,
    )


def report_not_compared(
    name: str, asset: dg.AssetKey, unknown: Mapping[str, str], warn: Callable[[str], None]
) -> dg.AssetCheckResult:
    """Returns the result of a check that compares columns which cannot be known on this account.

    It passes, because it would otherwise block forever, and states that it proved nothing.

    Args:
        unknown: by column, the fields that the account does not offer.
    """
    lacking = ", ".join(sorted(set(unknown.values())))
    said = f"{NOT_EVALUATED} {', '.join(unknown)} cannot be known, because this account does not offer {lacking}."
    warn(f"{asset.to_user_string()}, {name}: {said}")
    return dg.AssetCheckResult(
        passed=True,
        asset_key=asset,
        check_name=name,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={NOT_COMPARED: dict(unknown)},
    )

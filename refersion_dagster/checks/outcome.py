"""What a check found, as Dagster shows it."""

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
# In the metadata of a check that passed and compared less than it says.
NOT_COMPARED = "not_compared"


@dataclass(frozen=True)
class Found:
    """The rows that should not be there: how many, and the first of them."""

    count: int
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def offending(session: Session, select: str | exp.Query, settings: Mapping[str, Value]) -> Found:
    """Runs a SELECT whose rows should not be there."""
    tree = bind(parse(select) if isinstance(select, str) else select, settings)
    found = exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier("found")))
    ((count,),) = session.query(exp.select("count(*)").from_(found))
    rows = session.query(exp.select("*").from_(found).limit(ROWS_SHOWN)) if count else []
    return Found(int(count), tuple(tree.named_selects) if isinstance(tree, exp.Query) else (), rows)


def result(
    found: Found,
    name: str,
    asset: dg.AssetKey,
    description: str,
    meaning: str,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """The check's result: in words, with the offending rows."""
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


def not_compared(
    name: str, asset: dg.AssetKey, unknown: Mapping[str, str], warn: Callable[[str], None]
) -> dg.AssetCheckResult:
    """The result of a check of what cannot be known on this account.

    It passes, because otherwise it would block forever, and says that it proved nothing.

    Args:
        unknown: columns, and what the account does not offer for them.
    """
    lacking = ", ".join(sorted(set(unknown.values())))
    said = f"Not evaluated: {', '.join(unknown)} cannot be known, because this account does not offer {lacking}."
    warn(f"{asset.to_user_string()}, {name}: {said}")
    return dg.AssetCheckResult(
        passed=True,
        asset_key=asset,
        check_name=name,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={NOT_COMPARED: dict(unknown)},
    )

"""The results of a load: what Dagster shows of each raw table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from refersion_dagster.ingest.specs import asset_key, column_schema
from refersion_dagster.ingest.table_loads import TableLoads
from refersion_dagster.refersion.tables.catalog import ENTITIES


def describe_history(loads: TableLoads, table: str, **more: Any) -> dg.MaterializeResult:
    """The result of a table that the loads maintain.

    Args:
        more: further metadata.
    """
    counts = loads.warehouse.row_counts([table])
    return dg.MaterializeResult(
        asset_key=asset_key(table, loads.names),
        metadata={"dagster/row_count": counts.get(table, 0), "warehouse": loads.warehouse.location, **more},
    )


def describe_table(loads: TableLoads, table: str, row_count: int, more: Mapping[str, Any]) -> dg.MaterializeResult:
    """The result of a raw table, with what its report says. Logs the report's warnings.

    Args:
        row_count: number of rows that the table has now.
        more: further metadata.
    """
    report = loads.report.table(table)
    metadata: dict[str, Any] = {
        **loads.metadata.get(table, {}),
        "dagster/row_count": row_count,
        "rows_loaded": report.rows,
        "dagster/column_schema": column_schema(ENTITIES[table], report.fields_extra),
        "warehouse": loads.warehouse.location,
        **more,
    }
    if report.read_from and report.read_to:
        metadata["window_from"] = dg.MetadataValue.timestamp(report.read_from)
        metadata["window_to"] = dg.MetadataValue.timestamp(report.read_to)
    if report.not_offered:
        metadata["not_offered"] = report.not_offered
    for name in ("fields_missing", "fields_extra", "fields_filled", "not_loaded", "warnings"):
        if found := getattr(report, name):
            metadata[name] = dg.MetadataValue.json(found)
    for warning in report.warnings:
        loads.context.log.warning(f"{table}: {warning}")
    return dg.MaterializeResult(asset_key=asset_key(table, loads.names), metadata=metadata)

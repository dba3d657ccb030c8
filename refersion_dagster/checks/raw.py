"""Checks of the raw tables: keys, column types, and values that Refersion is known to use."""

from collections.abc import Callable, Iterator

import dagster as dg

from refersion_dagster.checks.outcome import ROWS_SHOWN, OffendingRows, find_offending_rows, result
from refersion_dagster.failures import report_errors
from refersion_dagster.ingest.history import conversions, readings
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import CONVERSION_STATUSES, ENTITIES, PAYMENT_STATUSES
from refersion_dagster.resources import Warehouse
from refersion_dagster.usage.costs import show_costs
from refersion_dagster.warehouse.session import Session

AFFILIATE_STATUSES = ("PENDING", "ACTIVE", "DENIED", "DISABLED")
OFFER_TYPES = ("PERCENT_OF_SALE", "FLAT_RATE")
# Values that figures depend on. Any other value is kept unchanged but is not counted in any figure.
ACCEPTED: dict[str, dict[str, tuple[str, ...]]] = {
    "conversions": {"status": CONVERSION_STATUSES, "payment_status": PAYMENT_STATUSES, "offer__type": OFFER_TYPES},
    "affiliates": {"status": AFFILIATE_STATUSES},
    "affiliate_list": {"status": AFFILIATE_STATUSES},
    "affiliate_get": {"status": AFFILIATE_STATUSES},
    "offers": {"type": OFFER_TYPES},
    "conversion_history": {"change": ("new", "changed", "vanished", "returned")},
    "conversion_readings": {"proven_by": (readings.READ, readings.TOTALS, readings.COUNTS)},
}
KEYS: dict[str, tuple[str, ...]] = {
    **{name: entity.primary_key for name, entity in ENTITIES.items()},
    conversions.TABLE: ("id", "seen_at"),
    readings.TABLE: readings.KEY,
}

# Part of the name of a variant column, which dlt adds for values of another type.
VARIANT = "__v_"

# Names of the checks of a raw table.
RAW_CHECKS = PRIMARY_KEY, NO_VARIANTS, ACCEPTED_VALUES = "primary_key", "no_variant_columns", "accepted_values"

KEY_HOLDS = "Each {key} is unique and never empty."
KEY_BROKEN = "Rows of {table} count twice or cannot be distinguished: every figure that reads the table would be wrong."
TYPES_HOLD = "No column has values of two types (dlt would store the second type in a column …__v_…)."
TYPES_BROKEN = "Values of {table} are in a column that no figure reads: amounts are missing. Reload the table."
VALUES_HOLD = "Only values that Refersion is known to use: {values}."
VALUES_BROKEN = (
    "Refersion uses a value in {table} that this version does not know. Its rows are kept and counted as "
    "unknown. Review them, and check for a newer version."
)


def duplicates(table: str) -> str:
    """Returns SQL for missing or duplicated keys of a raw table."""
    key = KEYS[table]
    names, missing = ", ".join(key), " OR ".join(f"{name} IS NULL" for name in key)
    return (
        f"SELECT {names}, count(*) AS row_count FROM {DATASET}.{table} "  # noqa: S608
        f"GROUP BY {names} HAVING count(*) > 1 OR {missing} ORDER BY {names}"
    )


def variants(session: Session, table: str) -> OffendingRows:
    """Finds variant columns, which dlt adds for values of another type."""
    names: list[tuple[object, ...]] = [(name,) for name, _ in session.columns(DATASET, table) if VARIANT in name]
    return OffendingRows(len(names), ("column_name",), names[:ROWS_SHOWN])


def build_unknown_values(table: str) -> str:
    """Returns SQL for values of a raw table that are not accepted, with their number of rows."""
    return " UNION ALL ".join(
        f"SELECT '{column}' AS column_name, {column} AS found, count(*) AS row_count FROM {DATASET}.{table} "  # noqa: S608
        f"WHERE {column} NOT IN ({', '.join(map(repr, values))}) GROUP BY {column}"
        for column, values in ACCEPTED[table].items()
    )


def raw_checks(table: str, names: Namespace = USUAL) -> dg.AssetChecksDefinition:
    """Returns the checks of one raw table, which run in one step."""
    asset = names.table_key(DATASET, table)
    key = " and ".join(KEYS[table])
    values = "; ".join(f"{column}: {', '.join(known)}" for column, known in ACCEPTED.get(table, {}).items())
    checks: list[tuple[str, Callable[[Session], OffendingRows], str, str, bool]] = [
        (
            PRIMARY_KEY,
            lambda session: find_offending_rows(session, duplicates(table), {}),
            KEY_HOLDS.format(key=key),
            KEY_BROKEN.format(table=table),
            True,
        ),
        (
            NO_VARIANTS,
            lambda session: variants(session, table),
            TYPES_HOLD,
            TYPES_BROKEN.format(table=table),
            True,
        ),
    ]
    if values:
        holds, broken = VALUES_HOLD.format(values=values), VALUES_BROKEN.format(table=table)
        checks.append(
            (
                ACCEPTED_VALUES,
                lambda session: find_offending_rows(session, build_unknown_values(table), {}),
                holds,
                broken,
                False,
            )
        )

    @dg.multi_asset_check(
        name=names.name(f"check_{table}"),
        specs=[
            dg.AssetCheckSpec(name, asset=asset, blocking=blocking, description=f"{holds} Otherwise: {broken}")
            for name, _, holds, broken, blocking in checks
        ],
        can_subset=True,
        pool=names.pool,
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def run_checks(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
        # Readers also have to wait for a run of another process that has the DuckDB file open.
        with warehouse.write_lock(context.log.info), warehouse.compute_session() as session:
            is_there = bool(session.columns(DATASET, table))
            for name, find, holds, broken, blocking in checks:
                if dg.AssetCheckKey(asset, name) not in context.selected_asset_check_keys:
                    continue
                found = find(session) if is_there else OffendingRows(0, (), [])
                severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN
                yield result(found, name, asset, holds, broken, severity)

    return run_checks

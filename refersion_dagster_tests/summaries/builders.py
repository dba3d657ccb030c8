"""Summaries of hand-written rows, in tables as the source creates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from refersion_dagster.ingest.history.conversions import FILL_SEEN_BEFORE
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster.summaries.build import build
from refersion_dagster.summaries.query import RAW_COLUMNS, Summary, load_summaries
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.session import Session
from refersion_dagster_tests.location import account_of, materialise

Row = Mapping[str, Any]
EMPTY = datetime(2025, 1, 1, tzinfo=UTC)
READ_AT = datetime(2025, 4, 1, 12, tzinfo=UTC)


def D(text: str) -> Decimal:
    return Decimal(text)


def day(number: int, month: int = 3, hour: int = 12) -> datetime:
    """A day of 2025, in March by default."""
    return datetime(2025, month, number, hour, tzinfo=UTC)


def order(number: int, total: str, commission: str, status: Any = "APPROVED", **more: Any) -> dict[str, Any]:
    """Conversion `number`, created on that day of March: an order in USD of affiliate 1, with changes in `more`."""
    return {
        "id": f"{number}",
        "order_id": f"order-{number}",
        "type": "AFFILIATE_SITE_CONVERSION",
        "status": status,
        "payment_status": "UNPAID",
        "total": D(total),
        "commission_total": D(commission),
        "currency": "USD",
        "created": more.get("created") or day(number),
        "affiliate_id": "1",
        "is_test_conversion": False,
        "read_at": READ_AT,
        **more,
    }


def paid(number: int, total: str, commission: str, **more: Any) -> dict[str, Any]:
    """An order that was paid on March 30 by payment 900."""
    return order(
        number,
        total,
        commission,
        **{"payment_status": "PAID", "payment_id": "900", "payment__created": day(30), **more},
    )


def cancellation(number: int, of: int, total: str, commission: str, **more: Any) -> dict[str, Any]:
    """The cancellation of order `of`; total and commission are negative."""
    named = {"type": "CANCELLATION_AFFILIATE_SITE_CONVERSION", "order_id": f"order-{of}"}
    return order(number, total, commission, **(named | more))


def credit(number: int, commission: str, **more: Any) -> dict[str, Any]:
    return order(number, "0", commission, **({"type": "MANUAL_CREDIT_BY_CLIENT", "order_id": None} | more))


def affiliate(number: int, **more: Any) -> dict[str, Any]:
    """A row of GraphQL's affiliates, with a PayPal e-mail."""
    return {
        "id": f"{number}",
        "status": "ACTIVE",
        "name": f"Affiliate {number}",
        "email": f"affiliate{number}@example.com",
        "paypal_email": f"paypal{number}@example.com",
        "rfsn_parameter": f"&rfsn={number}.code{number}",
        "read_at": READ_AT,
        **more,
    }


def payment(number: int, amount: str, conversions: int, **more: Any) -> dict[str, Any]:
    """A payment to affiliate 1 on March 30."""
    return {
        "id": f"{number}",
        "created": day(30),
        "commission_total": D(amount),
        "currency": "USD",
        "total_conversions": conversions,
        "affiliate__id": "1",
        "read_at": READ_AT,
        **more,
    }


def click(number: int, **more: Any) -> dict[str, Any]:
    """A click on the link of affiliate 1 for offer 10, on that day of March before any order."""
    return {
        "click_key": f"{number}",
        "created": day(1, hour=number % 12),
        "affiliate_id": "1",
        "offer_id": "10",
        "read_at": READ_AT,
        **more,
    }


def history(id_: int | str, seen_at: datetime, change: str, status: str, commission: str = "1", **more: Any) -> Row:
    """A row of conversion_history."""
    return {
        "id": f"{id_}",
        "seen_at": seen_at,
        "change": change,
        "status": status,
        "payment_status": "UNPAID",
        "total": D("10"),
        "commission_total": D(commission),
        "currency": "USD",
        **more,
    }


def reading(moment: datetime) -> Row:
    """A row of conversion_readings: all conversions were read."""
    span = {"read_from": datetime(2020, 1, 1, tzinfo=UTC), "read_to": moment}
    return {"read_at": moment, **span, "proven_by": "read", "currency": "(all)"}


DAILY = [reading(READ_AT - timedelta(days=ago)) for ago in range(150, -1, -1)]
# Generates the daily rows in SQL: inserting each as values takes longer than building the summaries.
INSERT_DAILY = f"""
INSERT INTO refersion_data.conversion_readings
  (read_at, read_from, read_to, proven_by, currency)
SELECT day, TIMESTAMPTZ '{DAILY[0]["read_from"]}', day, 'read', '(all)'
FROM generate_series(
  TIMESTAMPTZ '{DAILY[0]["read_at"]}', TIMESTAMPTZ '{DAILY[-1]["read_at"]}', INTERVAL 1 DAY) AS days(day)
"""


def watched(row: Row, approved: datetime | None = None) -> list[Row]:
    """The history of a conversion in an account that was read every day, with Refersion's own change times.

    Args:
        row: the conversion as it is now.
        approved: when it was approved; from the beginning if not given.
    """
    created, status = row["created"], row["status"]
    states = [(created, status if status != "APPROVED" or approved is None else "PENDING", "UNPAID")]
    if approved is not None:
        states.append((approved, "APPROVED", "UNPAID"))
    if row["payment_status"] == "PAID":
        states.append((row["payment__created"], status, "PAID"))
    shown: dict[datetime, Row] = {}
    for moment, word, payment_status in states:
        seen_at = next((one["read_at"] for one in DAILY if one["read_at"] > moment), READ_AT)
        amounts = {name: row[name] for name in ("total", "commission_total", "currency")}
        more = {"payment_status": payment_status, "updated": moment, **amounts}
        shown[seen_at] = history(row["id"], seen_at, "changed" if shown else "new", word, **more)
    return list(shown.values())


def totals(month: datetime, status: str, payment_status: str, count: int, commission: str, sales: str) -> Row:
    """A row of conversion_totals for one month, in USD."""
    after = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return {
        "granularity": "month",
        "period_from": month,
        "period_to": datetime.fromtimestamp(after.timestamp() - 1, UTC),
        "status": status,
        "payment_status": payment_status,
        "conversions_count": count,
        "commission_total": D(commission),
        "order_total": D(sales),
        "commissionable_order_total": D(sales),
        "currency": "USD",
        "read_at": READ_AT,
    }


def create_raw_tables(database: Path) -> None:
    """Load an account without orders, so that every raw table exists, and empty the tables."""
    warehouse = Warehouse(duckdb_path=str(database))
    with SandboxServer(SandboxSettings(affiliates=0, orders=0, days=30, now=EMPTY)) as sandbox:
        outcome = materialise(account_of(sandbox), warehouse, *(f"refersion/{table}" for table in RAW_COLUMNS))
    assert outcome.success, outcome.failure
    with warehouse.session() as session:
        for table in RAW_COLUMNS:
            session.query(f"DELETE FROM refersion_data.{table}")


class WarehouseBuilder:
    """A warehouse with hand-written raw rows, and the summaries built from them.

    Args:
        database: a DuckDB file with raw tables, see create_raw_tables.
        settings: fields of ReportSettings.
    """

    def __init__(self, database: Path, **settings: str) -> None:
        self.warehouse = Warehouse(duckdb_path=str(database))
        self.settings = ReportSettings(**settings)

    def add(self, table: str, *rows: Row) -> WarehouseBuilder:
        """Add raw rows. Missing columns are NULL."""
        with self.warehouse.session() as session:
            insert(session, table, rows)
        return self

    def conversions(self, *rows: Row) -> WarehouseBuilder:
        return self.add("conversions", *rows)

    def watched(self, *rows: Row, approved: datetime | None = None) -> WarehouseBuilder:
        """Add conversions and their history; see `watched`."""
        entries = [one for row in rows for one in watched(row, approved)]
        return self.conversions(*rows).add("conversion_history", *entries)

    def empty(self) -> WarehouseBuilder:
        """Delete all conversions, their history and the times of reading."""
        with self.warehouse.session() as session:
            for table in ("conversions", "conversion_history", "conversion_readings"):
                session.query(f"DELETE FROM refersion_data.{table}")
        return self

    def build(self, *names: str) -> None:
        """Build these summaries, after those that they read.

        If no readings were added, the account was read every day.
        """
        values = self.settings.parameters()
        with self.warehouse.session() as session:
            with_readings = session.columns("refersion_data", "conversion_readings")
            if with_readings and not session.count("refersion_data", "conversion_readings"):
                session.native(INSERT_DAILY)
                session.query(FILL_SEEN_BEFORE)
            for summary in with_those_they_read(names):
                build(session, summary, values)

    def rows(self, name: str, *columns: str, order: str | None = None) -> list[dict[str, Any]]:
        """Build a summary and return its rows, ordered by its primary key unless `order` is given."""
        self.build(name)
        return self.built(name, *columns, order=order)

    def built(self, name: str, *columns: str, order: str | None = None) -> list[dict[str, Any]]:
        """The rows of a summary as last built, without its columns under old names unless `columns` has them."""
        summary = summary_of(name)
        old_names = summary.header.renamed.values()
        names = columns or tuple(column for column in summary.columns if column not in old_names)
        order = order or ", ".join(summary.header.primary_key)
        found = self.warehouse.query(f"SELECT {', '.join(names)} FROM {SUMMARIES}.{name} ORDER BY {order}")
        return [dict(zip(names, row, strict=True)) for row in found]

    def row(self, name: str, *columns: str) -> dict[str, Any]:
        """The only row of a summary."""
        (row,) = self.rows(name, *columns)
        return row


def insert(session: Session, table: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    known = {name for name, _ in session.columns("refersion_data", table)}
    named = dict.fromkeys(name for row in rows for name in row)
    assert known.issuperset(named), f"{table} has no column {named.keys() - known}"
    constant = {"_dlt_load_id": "1", "_dlt_id": "1"} if "_dlt_id" in known else {}
    names = [*named, *constant]
    values = {f"{name}_{at}": {**constant, **row}.get(name) for at, row in enumerate(rows) for name in names}
    places = ", ".join(f"({', '.join(f'${name}_{at}' for name in names)})" for at in range(len(rows)))
    session.query(f"INSERT INTO refersion_data.{table} ({', '.join(names)}) VALUES {places}", **values)


@cache
def all_summaries() -> tuple[Summary, ...]:
    return tuple(load_summaries())


def summary_of(name: str) -> Summary:
    return next(found for found in all_summaries() if found.name == name)


def with_those_they_read(names: Sequence[str]) -> list[Summary]:
    """The summaries with these names and those they read, in build order."""
    everything = all_summaries()
    wanted = set(names)
    for summary in reversed(everything):
        if summary.name in wanted:
            wanted |= {table for schema, table in summary.depends_on if schema == SUMMARIES}
    return [summary for summary in everything if summary.name in wanted]

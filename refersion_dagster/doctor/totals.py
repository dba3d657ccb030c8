"""Compares Refersion's count and sum of all conversions with the loaded ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from dlt.destinations.exceptions import DestinationConnectionError

from refersion_dagster.doctor.findings import DoctorCheck, passed, skipped, warned
from refersion_dagster.doctor.probes import REPORT
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.tables.catalog import CONVERSION_STATUSES, PAYMENT_STATUSES
from refersion_dagster.refersion.tables.coerce import read_money
from refersion_dagster.refersion.windows import Window, parse_moment, whole_second
from refersion_dagster.resources import Warehouse
from refersion_dagster.rounding import format_amount
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.session import Session, UndefinedTable

NAMES = ("totals",)
# The response names one currency; whether it counts other currencies and test conversions is not documented.
OWN_CURRENCY, NO_TESTS = "currency = $currency", "NOT coalesce(is_test_conversion, FALSE)"
READINGS = {
    "in its own currency, without tests": f"{OWN_CURRENCY} AND {NO_TESTS}",
    "in its own currency, with tests": OWN_CURRENCY,
    "in all currencies, without tests": NO_TESTS,
    "in all currencies, with tests": "TRUE",
}
REMEDY = (
    "Run the job refersion_refresh: it loads what arrived since. If they still differ, refersion_reconcile and "
    "the summary control_totals show the month and status."
)


@dataclass(frozen=True)
class Sum:
    """A number of conversions and their commission."""

    count: int
    commission: Decimal

    def __str__(self) -> str:
        return f"{self.count:,} conversions, commission {format_amount(self.commission)}"


def check_totals(account: RefersionClient, warehouse: Warehouse, start_date: str | None) -> Iterator[DoctorCheck]:
    """Compares both for the same period: from the first load to the last reading of conversions."""
    try:
        if not warehouse.database.exists:
            yield passed("totals", "nothing is loaded yet")
            return
        with warehouse.session(read_only=True) as session:
            window = _read(session, start_date)
            if window is None:
                yield passed("totals", "no conversions are loaded yet")
                return
            theirs, currency = _request_sum(account, window)
            ours = {words: _select_sum(session, window, rows, currency) for words, rows in READINGS.items()}
    except UndefinedTable:
        yield passed("totals", "no conversions are loaded yet")
    except (DestinationConnectionError, WarehouseError):
        yield skipped("totals", "the warehouse cannot be read")
    except RefersionError as error:
        yield skipped("totals", f"/conversion/totals is not available: {error.what.rstrip('.')}")
    except ValueError as error:
        yield warned("totals", f"Refersion's sum of commissions cannot be parsed: it is not {error}", REPORT)
    else:
        yield _compare(theirs, ours, currency)


def _read(session: Session, start_date: str | None) -> Window | None:
    ((until,),) = session.query(f"SELECT max(read_at) FROM {DATASET}.conversions")  # noqa: S608
    if until is None:
        return None
    end = whole_second(until) + timedelta(seconds=1)
    try:
        start = parse_moment(start_date) if start_date else BEGINNING
    except ValueError:  # the settings check reports it
        start = BEGINNING
    return Window(start, end) if start < end else None


def _request_sum(account: RefersionClient, window: Window) -> tuple[Sum, str]:
    """Returns the sum over all statuses, and the currency in the response.

    Raises RefersionError, and ValueError for a sum that is not an amount.
    """
    asked = [(window, status, payment) for status in CONVERSION_STATUSES for payment in PAYMENT_STATUSES]
    answers = list(account.rest.conversion_totals(asked))
    count = sum(answer["conversions_count"] or 0 for answer in answers)
    commission = sum((read_money(answer.get("commission_total")) for answer in answers), Decimal(0))
    return Sum(count, commission), str(answers[0].get("currency") or "")


def _select_sum(session: Session, window: Window, rows: str, currency: str) -> Sum:
    ((count, commission),) = session.query(
        f"SELECT count(*), sum(commission_total) FROM {DATASET}.conversions "  # noqa: S608 - words of ours
        f"WHERE vanished_at IS NULL AND created >= $start AND created < $until AND {rows}",
        start=window.start,
        until=window.end,
        currency=currency,
    )
    return Sum(int(count), commission or Decimal(0))


def _compare(theirs: Sum, ours: dict[str, Sum], currency: str) -> DoctorCheck:
    details = {
        "currency": currency,
        "refersion": {"count": theirs.count, "commission": str(theirs.commission)},
        "loaded": {words: {"count": one.count, "commission": str(one.commission)} for words, one in ours.items()},
    }
    for words, one in ours.items():
        if one == theirs:
            told = f"matches Refersion: {theirs} ({currency}; Refersion counts {words})"
            return passed("totals", told, reading=words, **details)
    words, nearest = min(ours.items(), key=lambda item: abs(item[1].count - theirs.count))
    return warned(
        "totals",
        f"differs: Refersion has {theirs} ({currency}), the warehouse has {nearest} ({words})",
        REMEDY,
        **details,
    )

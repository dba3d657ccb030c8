"""control_totals against sums reckoned here, of any rows and whichever way Refersion adds them up."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refersion_dagster_tests.summaries.builders import READ_AT, WarehouseBuilder, order, totals
from refersion_dagster_tests.summaries.test_control_totals import ALL, ALL_TESTS, OWN_TESTS, READINGS, differences

FEBRUARY, MARCH = datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)
# Both ends of both months, and between.
MOMENTS = (FEBRUARY, MARCH - timedelta(seconds=1), MARCH, datetime(2025, 3, 31, 23, 59, 59, tzinfo=UTC))
Cell = tuple[date, str, str]
Sums = tuple[int, Decimal, Decimal]


class Made(NamedTuple):
    """A conversion."""

    created: datetime
    status: str
    payment_status: str
    currency: str
    is_test: bool | None
    vanished: bool
    total: Decimal
    commission: Decimal


AMOUNTS = st.decimals(-10_000, 10_000, places=4)
CONVERSIONS = st.builds(
    Made,
    st.sampled_from(MOMENTS)
    | st.datetimes(datetime(2025, 2, 1), datetime(2025, 3, 30)).map(  # noqa: DTZ001
        lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
    ),
    st.sampled_from(["PENDING", "APPROVED", "DENIED"]),
    st.sampled_from(["PAID", "UNPAID"]),
    st.sampled_from(["USD", "USD", "EUR", "JPY"]),
    st.sampled_from([False, None, True]),
    st.sampled_from([False, False, False, True]),
    AMOUNTS,
    AMOUNTS,
)


def sums(rows: list[Made], reading: str) -> Mapping[Cell, Sums]:
    """What a server answers that adds up this way."""
    found: dict[Cell, Sums] = defaultdict(lambda: (0, Decimal(0), Decimal(0)))
    for row in rows:
        counts = (row.currency == "USD" or reading in (ALL, ALL_TESTS)) and (
            not row.is_test or reading in (OWN_TESTS, ALL_TESTS)
        )
        if counts and not row.vanished:
            cell = (row.created.date().replace(day=1), row.status, row.payment_status)
            count, commission, total = found[cell]
            found[cell] = (count + 1, commission + row.commission, total + row.total)
    return found


@pytest.mark.exhaustive
@given(st.lists(CONVERSIONS, max_size=10), st.sampled_from(READINGS), st.sampled_from(["0", "0.0001", "-5"]))
@example([Made(MARCH, "APPROVED", "UNPAID", "USD", False, False, Decimal(1), Decimal(1))], ALL, "0.0001")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_figures_are_those_of_the_rows(books: WarehouseBuilder, rows: list[Made], reading: str, off: str) -> None:
    """Loaded sums are those of the reading that is named, and the difference is what Refersion is off by."""
    with books.warehouse.session() as session:
        session.query("DELETE FROM refersion_data.conversions")
        session.query("DELETE FROM refersion_data.conversion_totals")
        session.query("DROP TABLE IF EXISTS refersion_summaries.control_totals")
    books.conversions(
        *(
            order(
                1,
                f"{row.total}",
                f"{row.commission}",
                row.status,
                id=f"{number}",
                payment_status=row.payment_status,
                created=row.created,
                currency=row.currency,
                is_test_conversion=row.is_test,
                vanished_at=READ_AT if row.vanished else None,
            )
            for number, row in enumerate(rows)
        )
    )
    # Every month, status and payment status was asked for; one answer may be off.
    answers: dict[Cell, Sums] = {
        (month.date(), status, paid): (0, Decimal(0), Decimal(0))
        for month in (FEBRUARY, MARCH)
        for status in ("PENDING", "APPROVED", "DENIED")
        for paid in ("PAID", "UNPAID")
    } | dict(sums(rows, reading))
    worst = max(answers)
    answers[worst] = (answers[worst][0], answers[worst][1] + Decimal(off), answers[worst][2])
    books.add(
        "conversion_totals",
        *(
            totals(FEBRUARY if month.month == 2 else MARCH, status, paid, count, f"{commission}", f"{total}")
            for (month, status, paid), (count, commission, total) in answers.items()
        ),
    )

    built: list[dict[str, Any]] = books.rows("control_totals")
    for row in built:
        cell = (row["month"], row["status"], row["payment_status"])
        expected = sums(rows, row["interpretation"])[cell]
        assert (row["loaded_count"], row["loaded_commission"], row["loaded_order_total"]) == expected
        assert differences(row) == tuple(ours - theirs for ours, theirs in zip(expected, answers[cell], strict=True))
        assert (row["verdict"] == "agrees") == (differences(row) == (0, 0, 0))
    if off == "0":
        assert {row["verdict"] for row in built} <= {"agrees"}
        assert all(reading in row["interpretations_possible"] for row in built)
    else:
        assert built

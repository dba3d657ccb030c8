"""Sales by affiliate, offer and coupon: whatever the rows, sums and figures are what the definitions make of them."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from refersion_dagster_tests.summaries.builders import Row, WarehouseBuilder, affiliate
from refersion_dagster_tests.summaries.definitions import (
    APPROVED,
    CONVERSIONS,
    FOUND_AS_IT_IS,
    LISTED,
    SOLD,
    affiliate_of,
    assert_sums_are_preserved,
    counted,
    counts,
    is_net,
    is_sale,
    kind,
    start_again,
    state,
)

NAMES = (
    *("commission_by_affiliate", "commission_by_offer", "commission_by_coupon"),
    *("commission_concentration", "affiliate_trends"),
)


@pytest.fixture(scope="module")
def books(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseBuilder]:
    """Two affiliates are listed, by the e-mails of LISTED."""
    books = WarehouseBuilder(Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("any"))))
    books.add("affiliates", *(affiliate(int(number), email=email) for email, number in LISTED.items()))
    with books.warehouse.write_lock(print):
        yield books


def rounded(amount: Decimal, places: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def near(found: Decimal | None, above: Decimal, below: Decimal) -> bool:
    """Whether a rate is the quotient, to six decimals and as many digits as a floating point division has."""
    if not below:
        return found is None
    return found is not None and abs(found - above / below) <= Decimal("0.000001") + abs(found) * Decimal("1e-12")


def earned(rows: list[Row]) -> Decimal:
    return sum((row["commission_total"] for row in rows if state(row) in SOLD), Decimal(0))


def sold(rows: list[Row]) -> Decimal:
    return sum((row["total"] for row in rows if is_sale(row)), Decimal(0))


@pytest.mark.exhaustive
@given(conversions=CONVERSIONS)
@settings(max_examples=20, phases=FOUND_AS_IT_IS, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    start_again(books, conversions)
    books.build(*NAMES)
    assert_sums_are_preserved(books, NAMES, conversions)
    assert_conversions_are_as_defined(books, conversions)
    assert_affiliates_are_as_defined(books, conversions)
    assert_concentration_is_as_defined(books, conversions)


def assert_conversions_are_as_defined(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    raw = {row["id"]: row for row in filter(counts, conversions)}
    built = {row["conversion_id"]: row for row in books.built("conversions")}
    assert built.keys() == raw.keys()
    by_link = (None, "AFFILIATE_SITE_CONVERSION", "CANCELLATION_AFFILIATE_SITE_CONVERSION")
    for id_, found in built.items():
        row = raw[id_]
        assert found["is_earned"] == (state(row) in SOLD)
        assert found["is_approved"] == (state(row) in APPROVED)
        assert found["is_decided"] == (state(row) in (*APPROVED, "denied"))
        assert found["is_sale"] == is_sale(row)
        assert found["is_net"] == is_net(row)
        assert found["is_from_click"] == (row["type"] in by_link and not row["is_recurring"])
        assert found["commission_at_stake"] == (0 if found["is_cancelled"] else found["net_commission"])


def assert_affiliates_are_as_defined(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in filter(counts, conversions):
        groups[affiliate_of(row, LISTED), row["currency"]].append(row)
    ids = counted(conversions, LISTED, of_affiliate=True)
    everything: dict[str, list[Row]] = defaultdict(list)
    for (_, currency), rows in groups.items():
        everything[currency] += rows
    built = {(row["affiliate_id"], row["currency"]): row for row in books.built("commission_by_affiliate")}
    assert built.keys() == groups.keys()
    for key, rows in groups.items():
        found, all_rows = built[key], everything[key[1]]
        every_net = [row for row in rows if is_net(row)]
        once = [row for row in rows if row["id"] in ids]
        net = [row for row in once if is_net(row)]
        orders = sum(map(is_sale, once))
        decided = [row for row in rows if kind(row) == "order" and state(row) in (*APPROVED, "denied")]
        approved = [row for row in decided if state(row) in APPROVED]
        worth = [row for row in decided if row["commission_total"] > 0]
        unqualified = sum(kind(row) == "order" and state(row) == "unqualified" for row in rows)
        assert found["orders"] == orders
        assert found["sales"] == sold(once)
        assert found["aov"] == (rounded(sold(once) / orders, 4) if orders else None)
        assert found["net_sales"] == sum(row["total"] for row in net)
        assert found["net_sales"] == found["sales"] - found["sales_pending"] + found["cancelled_sales"]
        assert found["cancellations"] == sum(kind(row) == "cancellation" for row in every_net)
        assert found["commission"] == earned(rows)
        assert found["manual_credits"] == earned([row for row in rows if kind(row) == "manual credit"])
        assert (found["conversions_approved"], found["conversions_denied"], found["conversions_unqualified"]) == (
            len(approved),
            len(decided) - len(approved),
            unqualified,
        )
        assert near(found["approval_rate"], Decimal(len(approved)), Decimal(len(decided)))
        assert near(found["quality_rate"], Decimal(len(approved)), Decimal(len(decided) + unqualified))
        assert near(
            found["approval_rate_by_value"],
            sum((row["commission_total"] for row in worth if state(row) in APPROVED), Decimal(0)),
            sum((row["commission_total"] for row in worth), Decimal(0)),
        )
        assert near(
            found["effective_commission_rate"],
            sum((row["commission_total"] for row in every_net), Decimal(0)),
            sum((row["total"] for row in every_net), Decimal(0)),
        )
        assert near(found["sales_share"], sold(once), sold([row for row in all_rows if row["id"] in ids]))
        assert near(found["commission_share"], earned(rows), max(earned(all_rows), Decimal(0)))
        others = [of for whose, of in groups.items() if whose[1] == key[1]]
        assert found["sales_rank"] == 1 + sum(
            sold([row for row in of if row["id"] in ids]) > sold(once) for of in others
        )
        assert found["commission_rank"] == 1 + sum(earned(of) > earned(rows) for of in others)


def assert_concentration_is_as_defined(books: WarehouseBuilder, conversions: list[dict[str, Any]]) -> None:
    groups: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in filter(counts, conversions):
        if state(row) in SOLD:
            groups[row["currency"]][affiliate_of(row, LISTED)] += row["commission_total"]
    positive = {
        currency: sorted((amount for amount in amounts.values() if amount > 0), reverse=True)
        for currency, amounts in groups.items()
    }
    built = {row["currency"]: row for row in books.built("commission_concentration")}
    assert built.keys() == {currency for currency, amounts in positive.items() if amounts}
    for currency, found in built.items():
        amounts, whole = positive[currency], sum(positive[currency], Decimal(0))
        assert (found["affiliates"], found["commission"]) == (len(amounts), whole)
        for first in (1, 5, 10):
            assert near(found[f"top_{first}_share"], sum(amounts[:first], Decimal(0)), whole)
        needed = next(k for k in range(1, len(amounts) + 1) if sum(amounts[:k]) * 10 >= whole * 8)
        assert found["affiliates_for_80_percent"] == needed
        assert near(found["hhi"], sum((amount * amount for amount in amounts), Decimal(0)), whole * whole)

"""Finds the test conversions of an account that lacks `is_test_conversion`, by querying Refersion's totals.

Totals can be requested for tests only. If there are none, the question is answered. Otherwise their time range is
bisected. A range needs no further split if all of its conversions are tests, or if its only test has the amounts of
exactly one conversion. Tests that were found are stored in TABLE and marked in `conversions`, so that every figure
excludes them like any other test. The result is stored in `_findings`, and the search is repeated only if Refersion
counts different tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from refersion_dagster.ingest import account_findings
from refersion_dagster.ingest.gaps import TABLE as NOT_OFFERED
from refersion_dagster.refersion.api.rest import RestClient
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RequestRefused
from refersion_dagster.refersion.tables.catalog import NO_CURRENCY
from refersion_dagster.refersion.tables.coerce import read_money
from refersion_dagster.refersion.windows import Window, whole_second
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.session import Session

TABLE = "_tests_found"
QUESTION = "test conversions"
NONE, FOUND, SOME, UNKNOWN = "none", "all found", "some found", "not known"
MOST_REQUESTS = 200
SECOND = timedelta(seconds=1)

CREATE = f"CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (id text NOT NULL)"
KNOWN = f"SELECT id FROM {DATASET}.{TABLE}"  # noqa: S608 - names of ours
ADD = f"INSERT INTO {DATASET}.{TABLE} VALUES ($id)"  # noqa: S608
ROWS = f"""
SELECT id, created, currency, commission_total, total FROM {DATASET}.conversions
WHERE vanished_at IS NULL AND created < $upto
ORDER BY created, id
"""  # noqa: S608
MARK = f"UPDATE {DATASET}.conversions SET is_test_conversion = TRUE WHERE id IN (SELECT id FROM {DATASET}.{TABLE})"  # noqa: S608
FORGET_GAP = f"""
DELETE FROM {DATASET}.{NOT_OFFERED} WHERE table_name = 'conversions' AND column_name = 'is_test_conversion'
"""  # noqa: S608


@dataclass(frozen=True)
class LoadedConversion:
    """A loaded conversion."""

    id: str
    created: datetime
    currency: str
    commission: Decimal
    total: Decimal


@dataclass(frozen=True)
class TotalsSums:
    """A number of conversions, their commission and their order amounts."""

    count: int
    commission: Decimal
    total: Decimal

    @classmethod
    def of(cls, rows: Sequence[LoadedConversion]) -> TotalsSums:
        return cls(
            len(rows),
            sum((row.commission for row in rows), Decimal(0)),
            sum((row.total for row in rows), Decimal(0)),
        )

    def __sub__(self, other: TotalsSums) -> TotalsSums:
        return TotalsSums(self.count - other.count, self.commission - other.commission, self.total - other.total)

    def __str__(self) -> str:
        return f"{self.count} {self.commission:f} {self.total:f}"


class Search:
    """Searches for tests among the conversions that Refersion's totals count.

    Args:
        rest: the account.
        rows: those conversions, ordered by time.
        known: ids of tests that were found before.
    """

    def __init__(self, rest: RestClient, rows: Sequence[LoadedConversion], known: frozenset[str]) -> None:
        self.rest = rest
        self.rows = rows
        self.known = known
        self.requests = 0
        self.found: set[str] = set()

    def run(self, tests: TotalsSums) -> None:
        """Finds as many tests as possible; `tests` are Refersion's sums over all tests."""
        self._search(list(self.rows), tests - TotalsSums.of([row for row in self.rows if row.id in self.known]))

    def _search(self, rows: list[LoadedConversion], hidden: TotalsSums) -> None:
        """Searches for the `hidden` tests among these rows, which are all rows of their time range."""
        left = [row for row in rows if row.id not in self.known]
        if hidden.count <= 0 or hidden.count > len(left):
            return  # there are none, or the rows are not those that Refersion counts
        if hidden == TotalsSums.of(left):
            self.found |= {row.id for row in left}
            return
        alike = [row for row in left if (row.commission, row.total) == (hidden.commission, hidden.total)]
        if hidden.count == 1 and len(alike) == 1:
            self.found.add(alike[0].id)
            return
        seconds = sorted({row.created for row in rows})
        if len(seconds) < 2 or self.requests >= MOST_REQUESTS:
            return
        middle = seconds[len(seconds) // 2]
        early, late = [row for row in rows if row.created < middle], [row for row in rows if row.created >= middle]
        self.requests += 1
        counted = sums(self.rest.conversion_sums(Window(seconds[0], middle), is_test_conversion="TRUE"))
        of_early = counted - TotalsSums.of([row for row in early if row.id in self.known])
        self._search(early, of_early)
        self._search(late, hidden - of_early)


def sums(answer: dict[str, Any]) -> TotalsSums:
    amounts = (Decimal(read_money(answer.get(name))) for name in ("commission_total", "order_total"))
    return TotalsSums(int(answer["conversions_count"] or 0), *amounts)


def find_hidden_tests(
    warehouse: Warehouse, rest: RestClient, upto: datetime, say: Callable[[str], object]
) -> str | None:
    """Finds and marks the tests of an account that does not say which conversions are tests.

    Args:
        upto: conversions were read up to this time.

    Returns what remains unknown, in words; None if everything is known. Raises RefersionError.
    """
    with warehouse.session() as session:
        session.query(CREATE)
        rows = [
            LoadedConversion(id_, whole_second(created), *more)
            for id_, created, *more in session.query(ROWS, upto=upto)
        ]
        if not rows:
            return None
        return _search_tests(session, rest, rows, Window(rows[0].created, upto), say)


def _search_tests(
    session: Session, rest: RestClient, rows: list[LoadedConversion], whole: Window, say: Callable[[str], object]
) -> str | None:
    try:
        answer = rest.conversion_sums(whole, is_test_conversion="TRUE")
        tests, others = sums(answer), sums(rest.conversion_sums(whole, is_test_conversion="FALSE"))
    except RequestRefused as refusal:
        return _store_unknown(
            session, f"Refersion's totals cannot be queried for tests: {refusal.said or refusal.what}"
        )
    currency = answer.get("currency") or NO_CURRENCY
    if tests == others and tests.count:
        return _store_unknown(session, "Refersion's totals are the same with and without tests.")
    own = [row for row in rows if row.currency == currency]
    counted = rows if tests.count + others.count == len(rows) else own
    if tests.count + others.count != len(counted):
        return _store_unknown(session, "Refersion's totals count conversions that are not loaded, or vice versa.")
    known = frozenset(id_ for (id_,) in session.query(KNOWN))
    before = account_findings.read_finding(session, QUESTION)
    # A search with the same tests would find nothing new.
    if before is None or before.answer.partition(": ")[2] != f"{tests}":
        search = Search(rest, counted, known)
        search.run(tests)
        with session.transaction():
            for id_ in sorted(search.found):
                session.query(ADD, id=id_)
        known |= search.found
        say(
            f"Test conversions: {tests.count:,}, {len(search.found):,} found in this run with {search.requests:,} "
            "requests"
        )
    unfound = tests - TotalsSums.of([row for row in counted if row.id in known])
    others = () if counted is rows else sorted({row.currency for row in rows} - {currency})
    unknown = _conclude(session, tests, unfound, currency, others)
    _mark(session)
    return unknown


def _conclude(
    session: Session, tests: TotalsSums, unfound: TotalsSums, currency: str, others: Sequence[str]
) -> str | None:
    """Stores the result, and returns what remains unknown.

    Args:
        others: currencies that the totals leave out.
    """
    unknown = []
    if unfound.count:
        unknown.append(
            f"{unfound.count:,} test conversion{'s' if unfound.count > 1 else ''} with "
            f"{_amount(unfound.commission)} {currency} commission cannot be identified and count in every figure"
        )
    if others:
        unknown.append(f"Refersion's totals say nothing about tests in {', '.join(others)}")
    answer = SOME if unknown else FOUND if tests.count else NONE
    told = "; ".join(unknown) or f"{tests.count:,} test conversions in {currency}, all known by Refersion's totals"
    account_findings.remember(session, QUESTION, f"{answer}: {tests}", f"{told}.")
    return f"{told}." if unknown else None


def mark_known_tests(warehouse: Warehouse) -> None:
    """Marks known tests in the rows just read. If all tests are known, removes the gap recorded for the account."""
    with warehouse.session() as session:
        session.query(CREATE)
        _mark(session)


def _mark(session: Session) -> None:
    session.query(MARK)
    found = account_findings.read_finding(session, QUESTION)
    if found and found.answer.partition(": ")[0] in (NONE, FOUND):
        session.query(FORGET_GAP)


def describe_unknown_tests(session: Session) -> str | None:
    """What is unknown about test conversions, in words. None if everything is known or nothing was queried."""
    if not session.columns(DATASET, account_findings.TABLE):
        return None
    found = session.query(account_findings.KNOWN, question=QUESTION)
    known = not found or found[0][0].partition(": ")[0] in (NONE, FOUND)
    return None if known else found[0][1]


def _amount(amount: Decimal) -> str:
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents if cents == amount else amount:,f}"


def _store_unknown(session: Session, why: str) -> str:
    account_findings.remember(session, QUESTION, UNKNOWN, why)
    return why

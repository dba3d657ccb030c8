"""Whether /conversion/totals accepts a field `currency`, and which currencies to request.

The field is not documented, but a sentence of the documentation suggests it. It is therefore tried once per account,
read-only, and the answer is stored in `_findings`:

- refused: Refersion calls the field invalid;
- ignored: the sums are the same with and without it;
- works: the sums differ from those without it, and match the loaded conversions of that currency.

Anything else is inconclusive, and the next load tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from typing import Any

from refersion_dagster.ingest import account_findings
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import RequestRefused
from refersion_dagster.refersion.tables.catalog import NO_CURRENCY
from refersion_dagster.refersion.tables.coerce import read_money
from refersion_dagster.refersion.windows import Window, month_start, next_month
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.session import Session, UndefinedTable

QUESTION = "currency in /conversion/totals"
REFUSED, IGNORED, WORKS = "refused", "ignored", "works"
# Maximum number of months to try per currency, because the loaded rows of a month may be out of date.
MONTHS = 3

CURRENCIES = f"""
SELECT currency, count(*) FROM {DATASET}.conversions WHERE vanished_at IS NULL GROUP BY currency ORDER BY 2 DESC, 1
"""  # noqa: S608 - names of ours
MONTHS_OF = f"""
SELECT
  date_trunc('month', created AT TIME ZONE 'UTC') AS month,
  count(*),
  sum(total),
  count(CASE WHEN coalesce(is_test_conversion, FALSE) THEN 1 END),
  coalesce(sum(CASE WHEN coalesce(is_test_conversion, FALSE) THEN total END), 0)
FROM {DATASET}.conversions
WHERE currency = $currency AND vanished_at IS NULL AND created < $before
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT {MONTHS}
"""  # noqa: S608

Sums = tuple[int, Decimal]


def totals_currencies(warehouse: Warehouse, account: RefersionClient, say: Callable[[str], object]) -> list[str]:
    """The currencies to request totals for. Empty if the account does not support the field or has only one currency.

    Raises RefersionError if the request fails.
    """
    with warehouse.session() as session:
        try:
            currencies = [currency for currency, _ in session.query(CURRENCIES) if currency]
        except UndefinedTable:
            return []
        if len(currencies) < 2:
            return []
        found = account_findings.read_finding(session, QUESTION)
        if found is None:
            answer = _probe(session, account, currencies)
            if answer is None:
                return []
            found = account_findings.remember(session, QUESTION, *answer)
            say(f"Tried the parameter currency of /conversion/totals: {found.answer} ({found.evidence})")
    return sorted(currencies) if found.answer == WORKS else []


def _probe(session: Session, account: RefersionClient, currencies: list[str]) -> tuple[str, str] | None:
    """The answer and its evidence. None if the result is inconclusive."""
    rest, settled = account.rest, month_start(account.now)
    for currency in currencies:
        for month, count, total, tests, of_tests in session.query(MONTHS_OF, currency=currency, before=settled):
            start = month.replace(tzinfo=UTC)
            period = Window(start, next_month(start))
            plain = rest.conversion_sums(period)
            if (plain.get("currency") or NO_CURRENCY) == currency:
                break  # the account's own currency: the field could not change anything
            try:
                asked = rest.conversion_sums(period, currency=currency)
            except RequestRefused as refusal:
                return REFUSED, refusal.said or refusal.what
            where = f"{currency} in {month:%Y-%m}"
            if _sums(asked) in ((count, total), (count - tests, total - of_tests)) and _sums(asked) != _sums(plain):
                return WORKS, f"{where}: {count} conversions are loaded; Refersion's totals are {_sums(asked)[0]}"
            if _sums(asked) == _sums(plain):
                return IGNORED, f"{where}: the totals are the same with and without the parameter"
    return None


def _sums(answer: dict[str, Any]) -> Sums:
    return int(answer["conversions_count"] or 0), Decimal(read_money(answer.get("order_total")))

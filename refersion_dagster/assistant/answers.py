"""The answers: what is owed, why it changed, what a payment paid, what became of an order, and what is in the way.

Each answer begins with what speaks against relying on it (`read_first`), and ends with its evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from refersion_dagster.assistant.copies import CopiesReader, OpenCopies, age_hours, queries
from refersion_dagster.assistant.evidence import (
    columns_shown,
    describe_account_gaps,
    describe_age,
    describe_evidence,
    is_without_conversions,
    name_unknown,
    tables_read,
)
from refersion_dagster.assistant.values import amount_text, as_json, by_currency, clean, plain
from refersion_dagster.errors import ReportedError
from refersion_dagster.report.checks import group_checks
from refersion_dagster.report.commissions.proof import Coverage
from refersion_dagster.report.commissions.queries import queries as report_queries
from refersion_dagster.warehouse.sql import Value

MOST_ROWS = 100


class NothingFound(ReportedError):
    """The copies have nothing of the given name. The message says how such names look."""


class Answers:
    """Answers from the current set of published copies.

    Args:
        reader: opens the current set.
        late_hours: age of the data from which they are late.
    """

    def __init__(self, reader: CopiesReader, late_hours: int) -> None:
        self._reader, self._late_hours = reader, late_hours

    def what_do_we_owe(self, currency: str | None, affiliate_id: str | None, most: int) -> dict[str, Any]:
        """What is due now by currency and age, and to whom most is due."""
        copies = self._reader.read()
        values = {"currency": _currency(copies, currency), "affiliate_id": affiliate_id}
        owed = _rows(copies, "owed", **values)
        creditors = by_currency(_rows(copies, "creditors", **values, most=_most(most)))
        body = {"owed": [{**one, "largest_balances": creditors.get(one["currency"], [])} for one in owed]}
        return self._answer(copies, ["owed", "creditors"], body)

    def why_did_it_change(self, month: str | None, currency: str | None, most: int) -> dict[str, Any]:
        """Opening, movements and closing of a month, and the affiliates behind the largest movements."""
        copies = self._reader.read()
        known = [row["month"] for row in copies.select("months")]
        wanted = _month(month) if month else next(iter(known), None)
        if month and wanted not in known:
            shown = ", ".join(f"{one:%Y-%m}" for one in known[:24]) or "none"
            raise NothingFound(f"There are no figures of {clean(month, 20)}. Months with figures: {shown}.")
        values = {"currency": _currency(copies, currency), "month": wanted}
        changes = _rows(copies, "changes", **values)
        moved = by_currency(_rows(copies, "movements", **values, most=_most(most)))
        body = {
            "month": f"{wanted:%Y-%m}" if wanted else None,
            "equation": "opening_due + newly_due + manual_credits - paid - reversed = closing_due",
            "changes": [{**one, "largest_movements": moved.get(one["currency"], [])} for one in changes],
        }
        return self._answer(copies, ["changes", "movements"], body)

    def explain_payment(self, payment_id: str, most: int) -> dict[str, Any]:
        """A payment, whether its conversions explain it, and what they are."""
        copies = self._reader.read()
        payments = _rows(copies, "payment", payment_id=payment_id)
        if not payments and "payment_id" not in name_unknown(copies, ["payment_proof"]):
            raise NothingFound(
                f"There is no payment with the id {clean(payment_id, 40)}. Ids are those of Refersion, such as in the "
                "column payment_id of the summary payments."
            )
        conversions = _rows(copies, "payment_conversions", payment_id=payment_id, most=_most(most))
        number = [one.pop("of_all") for one in conversions]
        body = {
            "payments": payments,
            "number_of_conversions": number[0] if number else None,
            "conversions": conversions,
        }
        return self._answer(copies, ["payment", "payment_conversions"], body)

    def find_order(self, order: str) -> dict[str, Any]:
        """All conversions of an order, with what became of their commission, and findings about them."""
        copies = self._reader.read()
        found = _rows(copies, "order_conversions", id=order, most=MOST_ROWS)
        if not found and not is_without_conversions(copies):
            raise NothingFound(
                f"No conversion has the order id or conversion id {clean(order, 60)}. Give the id as the shop or "
                "Refersion shows it. Test conversions and conversions deleted in Refersion are not in the copies."
            )
        body = {"conversions": found, "findings": _rows(copies, "order_findings", id=order)}
        return self._answer(copies, ["order_conversions", "order_findings"], body)

    def who_is_held_back(self, currency: str | None, affiliate_id: str | None, most: int) -> dict[str, Any]:
        """Balances that would not be paid out now, with the reasons."""
        copies = self._reader.read()
        values = {"currency": _currency(copies, currency), "affiliate_id": affiliate_id}
        totals = _rows(copies, "payout", **values)
        held = by_currency(_rows(copies, "held_back", **values, most=_most(most)))
        body = {"payout": [{**one, "held": held.get(one["currency"], [])} for one in totals]}
        return self._answer(copies, ["payout", "held_back"], body)

    def exceptions(self, currency: str | None, kind: str | None, most: int) -> dict[str, Any]:
        """Findings that a person should review, by kind and currency."""
        copies = self._reader.read()
        values = {"currency": _currency(copies, currency), "kind": kind}
        body = {
            "note": "A conversion may be in several findings: amounts of different kinds must not be added up. None of "
            "them is a verdict.",
            "counts": _rows(copies, "finding_counts", **values),
            "findings": _rows(copies, "findings", **values, most=_most(most)),
        }
        return self._answer(copies, ["finding_counts", "findings"], body)

    def health(self) -> dict[str, Any]:
        """Whether the figures can be relied on: age, checks, proof, and what the account does not offer."""
        copies = self._reader.read()
        tables = set(copies.tables)
        first, evidence = describe_evidence(copies, self._late_hours, tables, columns=())
        proof = report_queries()["proof_coverage"]
        coverage = copies.run(proof) if "proof_coverage" in tables else []
        groups = group_checks(copies.checks)
        return {
            "read_first": first,
            "is_late": bool(describe_age(copies, self._late_hours)),
            "hours_since_last_reading": age_hours(copies.as_of) if copies.as_of else None,
            "late_after_hours": self._late_hours,
            "checks": [
                {
                    "check": one.name,
                    "result": one.verdict,
                    "tables": sorted(check.asset for check in one.checks),
                    "at": plain(one.last),
                }
                for one in groups
            ],
            "proof": [
                {
                    "currency": clean(row["currency"], 12),
                    "summary": str(Coverage(**row)),
                    **{
                        name: amount_text(value, row["currency"])
                        for name, value in row.items()
                        if name not in ("currency", "oldest_read_at") and value is not None
                    },
                }
                for row in coverage
            ],
            "not_offered_by_the_account": describe_account_gaps(copies) or None,
            "release": copies.manifest["version"],
            "run_id": copies.manifest["run_id"],
            **{name: evidence[name] for name in ("as_of", "published_at", "time_zone_of_days_and_months")},
        }

    def _answer(self, copies: OpenCopies, names: Sequence[str], body: dict[str, Any]) -> dict[str, Any]:
        trees = [queries()[name].tree for name in names]
        first, evidence = describe_evidence(copies, self._late_hours, tables_read(trees), columns_shown(trees))
        return {"read_first": first, **body, **evidence}


def _rows(copies: OpenCopies, name: str, **values: Value) -> list[dict[str, Any]]:
    """Returns the rows of a file of sql/ for an answer."""
    unknown = name_unknown(copies, tables_read([queries()[name].tree]))
    return as_json(copies.select(name, **values), unknown)


def _currency(copies: OpenCopies, currency: str | None) -> str | None:
    """Returns the currency as the copies have it. Raises NothingFound for an unknown one."""
    if currency is None:
        return None
    rows = copies.cursor().execute("SELECT currency FROM refersion_summaries.currencies ORDER BY currency").fetchall()
    known = [name for (name,) in rows]
    if match := next((name for name in known if name.lower() == currency.lower()), None):
        return match
    raise NothingFound(
        f"There is nothing in {clean(currency, 12)}. Currencies of the account: "
        f"{', '.join(clean(name, 12) for name in known) or 'none'}."
    )


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text[:7]}-01")
    except ValueError:
        raise NothingFound(f"{clean(text, 20)} is not a month. Write it as YYYY-MM, such as 2025-06.") from None


def _most(most: int) -> int:
    return min(max(most, 1), MOST_ROWS)

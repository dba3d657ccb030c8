"""Answers about accounts that offer less, whose checks fail, or whose amounts in another currency are others."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from refersion_dagster.assistant.amounts import QueryRefused
from refersion_dagster.assistant.answers import Answers
from refersion_dagster.assistant.copies import CopiesReader, OpenCopies
from refersion_dagster.assistant.query import run_query
from refersion_dagster.assistant.query_rules import check_query
from refersion_dagster.report.publish import CURRENT, DATABASE
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.summaries.amounts import is_amount
from refersion_dagster_tests.assistant.conversation import NEVER_LATE
from refersion_dagster_tests.assistant.published_account import publish_account
from refersion_dagster_tests.assistant.queries import ALLOWED
from refersion_dagster_tests.location import SMALL

pytestmark = pytest.mark.exhaustive

LATE = int(NEVER_LATE)
REASON = "This account does not offer payment__created, payment__id, payment_id, payment_status."


@pytest.fixture(scope="module")
def without_payments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of an account whose conversions do not say whether they are paid."""
    fields = [f"Conversion.{name}" for name in ("payment_status", "payment", "payment_id")]
    with SandboxServer(SMALL) as sandbox:
        sandbox.configure(remove_fields=fields, remove_arguments=["conversions.payment_status"])
        return publish_account(sandbox, tmp_path_factory.mktemp("without_payments"))


class TestWithoutPaymentsOfConversions:
    def test_what_is_owed_is_not_known_and_why(self, without_payments: Path) -> None:
        answer = Answers(CopiesReader(without_payments), LATE).what_do_we_owe(None, None, 10)
        assert [one["currency"] for one in answer["owed"]] == ["USD", "EUR", "GBP"]
        for one in answer["owed"]:
            assert {value for name, value in one.items() if name not in ("currency", "largest_balances")} == {None}
        assert REASON in [one["reason"] for one in answer["not_known"]]
        assert [line.partition(":")[0] for line in answer["read_first"]] == ["NOT CHECKED", "NOT KNOWN"]

    def test_neither_is_a_month_nor_a_payment_nor_who_is_held_back(self, without_payments: Path) -> None:
        answers = Answers(CopiesReader(without_payments), LATE)
        (month,) = answers.why_did_it_change(None, "EUR", 10)["changes"]
        assert {month[name] for name in ("opening_due", "newly_due", "paid", "reversed", "closing_due")} == {None}
        for answer in (answers.explain_payment("131001", 10), answers.who_is_held_back(None, None, 10)):
            assert any(line.startswith("NOT KNOWN") for line in answer["read_first"])
        assert not answers.who_is_held_back(None, None, 10)["payout"]

    def test_the_state_of_an_order_is_not_guessed(self, without_payments: Path) -> None:
        reader = CopiesReader(without_payments)
        ((order,),) = (
            reader.read()
            .cursor()
            .execute("SELECT max(conversion_id) FROM conversions WHERE status = 'APPROVED'")
            .fetchall()
        )
        (found,) = Answers(reader, LATE).find_order(order)["conversions"]
        assert (found["commission_state"], found["payment_id"]) == (None, None)
        assert found["status"] == {"untrusted_text": "APPROVED"}
        assert found["commission"] is not None

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT currency, coalesce(sum(due), 0) AS due FROM commission_liability GROUP BY currency",
            "SELECT currency, sum(commission) AS c FROM conversions WHERE commission_state = 'due' GROUP BY currency",
            "WITH t AS (SELECT currency, commission_state AS s, commission FROM conversions) "
            "SELECT currency, sum(commission) AS c FROM t WHERE s = 'due' GROUP BY currency",
            "SELECT count(*) AS n FROM payout_preview",
        ],
    )
    def test_nothing_is_calculated_from_what_is_not_known(self, without_payments: Path, sql: str) -> None:
        with pytest.raises(QueryRefused, match=r"(is|are) not known on this account, which does not offer"):
            run_query(CopiesReader(without_payments), LATE, sql, 10)

    def test_what_is_known_is_answered(self, without_payments: Path) -> None:
        sql = "SELECT currency, sum(commission) AS c FROM conversions WHERE is_earned GROUP BY currency"
        answer = run_query(CopiesReader(without_payments), LATE, sql, 10)
        assert len(answer["rows"]) == 3
        assert answer["not_known"] == []


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with SandboxServer(SMALL) as sandbox:
        return publish_account(sandbox, tmp_path_factory.mktemp("complete"))


@pytest.fixture(scope="module")
def with_other_euros(complete: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same copies, with all amounts in EUR a thousand times as high."""
    folder = tmp_path_factory.mktemp("euros") / "published"
    shutil.copytree(complete, folder, symlinks=True)
    tables = CopiesReader(complete).read().tables
    with duckdb.connect(str(folder / CURRENT / DATABASE)) as copy:
        for table, columns in tables.items():
            by = "totals_currency" if table == "control_totals" else "currency"
            amounts = [name for name, kind in columns.items() if is_amount(kind)]
            if by in columns and amounts:
                changes = ", ".join(f"{name} = {name} * 1000" for name in amounts)
                copy.execute(f"UPDATE refersion_summaries.{table} SET {changes} WHERE {by} = 'EUR'")
    return folder


def rows_in_dollars(copies: OpenCopies, sql: str) -> list[Any]:
    """Rows of a query that have the currency USD, or all if it has only this currency."""
    checked = check_query(sql, copies.tables)
    found = copies.cursor().execute(checked.tree.sql("duckdb"))
    names = [column[0] for column in found.description or ()]
    at = next((number for number, name in enumerate(names) if name in ("currency", "c", "totals_currency")), None)
    is_money = "USD" in checked.currencies.values() or any(checked.currencies.values())
    rows = [row for row in found.fetchall() if at is None or row[at] == "USD"]
    return sorted(map(repr, rows)) if is_money else []


@pytest.mark.parametrize("sql", ALLOWED)
def test_no_amount_in_dollars_depends_on_amounts_in_euros(complete: Path, with_other_euros: Path, sql: str) -> None:
    before, after = (rows_in_dollars(CopiesReader(one).read(), sql) for one in (complete, with_other_euros))
    assert before == after


def test_sums_of_a_query_are_those_of_the_rows(complete: Path) -> None:
    reader = CopiesReader(complete)
    rows = reader.read().cursor().execute("SELECT currency, commission FROM conversions").fetchall()
    sums = {one: sum((c for of, c in rows if of == one), Decimal(0)) for one in {of for of, _ in rows}}
    answer = run_query(reader, LATE, "SELECT currency, sum(commission) AS c FROM conversions GROUP BY currency", 10)
    assert {currency: Decimal(amount) for currency, amount in answer["rows"]} == sums

"""The shop changes during reads: changes are read again; constant changes are not settled; lasting ones count."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.checks.check_evaluation import evaluate
from refersion_dagster_tests.location import NOW, Outcome, account_of, materialise
from refersion_dagster_tests.summaries.builders import WarehouseBuilder

ACCOUNT = SandboxSettings(affiliates=8, orders=120, days=70, now=NOW)
RAW = ("payments", "conversions", "conversion_history", "conversion_totals")
AGREE, SETTLED = "summaries/control_totals:control_totals_agree", "summaries/control_totals:control_totals_settled"
PAYMENTS = "summaries/payment_proof:payments_equal_their_conversions"


class Shop:
    """An account that is loaded, and refreshed while it changes."""

    def __init__(self, sandbox: SandboxServer, database: Path) -> None:
        self.sandbox = sandbox
        self.warehouse = Warehouse(duckdb_path=str(database))
        self.books = WarehouseBuilder(database)

    def refresh(self, *tables: str, **meanwhile: Any) -> Outcome:
        """Reads while changes happen, then builds the proofs."""
        self.sandbox.advance(seconds=60)
        self.sandbox.configure(meanwhile=meanwhile or None)
        done = materialise(account_of(self.sandbox), self.warehouse, *(f"refersion/{one}" for one in tables or RAW))
        self.sandbox.configure(meanwhile=None)
        assert done.success, done.failure
        self.books.build("control_totals", "payment_proof", "proof_coverage")
        return done

    def verdicts(self) -> set[str]:
        return {
            verdict for (verdict,) in self.warehouse.query("SELECT verdict FROM refersion_summaries.control_totals")
        }

    def checks(self) -> dict[str, bool]:
        return {name: found.passed for name, found in evaluate(self.warehouse, AGREE, SETTLED, PAYMENTS).items()}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with the first load, which tests copy."""
    path = tmp_path_factory.mktemp("loaded") / "warehouse.duckdb"
    with SandboxServer(ACCOUNT) as sandbox:
        shop = Shop(sandbox, path)
        shop.refresh(*RAW, "affiliates", "affiliate_list", "affiliate_get")
        assert shop.verdicts() == {"agrees"}
    return path


@pytest.fixture
def shop(loaded: Path, tmp_path: Path) -> Iterator[Shop]:
    with SandboxServer(ACCOUNT) as sandbox:
        yield Shop(sandbox, Path(shutil.copy(loaded, tmp_path)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("what", ["approval", "order", "payment"])
@pytest.mark.parametrize("route", ["rest:/conversion/totals", "graphql:conversions", "graphql:payments"])
def test_what_happens_between_the_readings_is_no_difference(shop: Shop, what: str, route: str) -> None:
    shop.refresh(what=what, route=route, limit=2)
    assert shop.verdicts() == {"agrees"}
    assert all(shop.checks().values())


@pytest.mark.exhaustive
@pytest.mark.exhaustive
def test_what_keeps_moving_is_not_settled_and_agrees_once_it_holds_still(shop: Shop) -> None:
    log = shop.refresh(what="approval", every=5).log
    assert shop.verdicts() == {"agrees", "not settled"}
    assert shop.checks() == {AGREE: True, SETTLED: False, PAYMENTS: True}
    assert sum("Control totals disagree; reading again" in line for line in log) == 3
    assert any("Control totals are not settled; the next refresh compares them again" in line for line in log)
    ((by_totals, not_settled, not_proven),) = shop.warehouse.query(
        "SELECT sum(proven_by_totals), sum(not_settled), sum(not_proven) FROM refersion_summaries.proof_coverage "
        "WHERE currency = 'USD'"
    )
    assert 0 < not_settled <= not_proven
    assert by_totals > 0

    shop.refresh()
    assert shop.verdicts() == {"agrees"}
    assert shop.checks()[SETTLED]


@pytest.mark.exhaustive
def test_a_difference_that_lasts_is_read_again_once_and_fails(shop: Shop) -> None:
    """GraphQL omits a row, as a faulty server would."""
    row = max(
        (
            one
            for one in shop.sandbox.account.conversions.values()
            if one.currency == "USD" and one.status == "APPROVED"
        ),
        key=lambda one: one.created,
    )
    shop.sandbox.change_conversion(row.id, commission_total="77.77")
    row.raw = {"commission_total": "77.76"}
    log = shop.refresh().log
    assert "differs" in shop.verdicts()
    assert shop.checks()[AGREE] is False
    assert sum("Control totals disagree; reading again" in line for line in log) == 1

    assert not any("reading again" in line for line in shop.refresh().log)
    assert "differs" in shop.verdicts()


@pytest.mark.exhaustive
def test_totals_alone_wait_for_the_rows(shop: Shop) -> None:
    pending = next(
        row for row in shop.sandbox.account.conversions.values() if row.currency == "USD" and row.status == "PENDING"
    )
    shop.sandbox.change_conversion(pending.id, status="APPROVED")
    shop.refresh("conversion_totals")
    assert shop.verdicts() == {"agrees", "not settled"}
    shop.refresh()
    assert shop.verdicts() == {"agrees"}

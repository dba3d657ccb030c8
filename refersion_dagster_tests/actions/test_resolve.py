"""Open items: Refersion's current evidence, and a person's decision."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.reconciliation.affiliates import report_no_evidence
from refersion_dagster.actions.reconciliation.evidence import Evidence, Verdict
from refersion_dagster.actions.reconciliation.resolve import (
    LOOKS,
    CannotSettle,
    check_decision,
    evidence_on,
    find_entry,
    open_journal,
    resolve,
)
from refersion_dagster.refersion.errors import MissingCredentials
from refersion_dagster.resources import RefersionResource
from refersion_dagster_tests.actions.actions_harness import CREDIT, ActionsHarness, credit_of
from refersion_dagster_tests.actions.test_dry_run import items_of


def lose(actions: ActionsHarness, endpoint: str, items: list[dict[str, Any]], *, acted: bool) -> None:
    """Sends items and loses the response of the last call."""
    actions.sandbox.fault(f"rest:{ENDPOINTS[endpoint].path}", "reset", applied=acted, after=len(items) - 1)
    assert actions.send(endpoint, items)[-1] == "unknown"


def evidence(actions: ActionsHarness, account: RefersionResource | None = None) -> Evidence:
    """Returns Refersion's evidence about the only open item."""
    with open_journal(actions.warehouse, print) as (journal, session):
        (entry,) = [entry for entry in journal.entries() if entry.outcome == "unknown"]
        return evidence_on(entry, journal, session, account or actions.account())


# The evidence for an item that was carried out, and for one that was not.
TOLD = {
    "affiliate_new": (Verdict.DONE, Verdict.NOT_FOUND),
    "affiliate_status_change": (Verdict.DONE, Verdict.NOT_FOUND),
    "affiliate_edit": (Verdict.LIKELY, Verdict.NOT_FOUND),
    CREDIT: (Verdict.DONE, Verdict.NOT_FOUND),
    "conversion_manual_credit_order_id": (Verdict.DONE, Verdict.NOT_FOUND),
    "conversion_status_change": (Verdict.DONE, Verdict.NOT_FOUND),
    "conversion_cancel": (Verdict.LIKELY, Verdict.NOT_FOUND),
}


@pytest.mark.parametrize("acted", [True, False], ids=["acted", "did not act"])
@pytest.mark.parametrize("endpoint", TOLD)
def test_refersions_own_data_tells_what_can_be_told(actions: ActionsHarness, endpoint: str, acted: bool) -> None:
    items = items_of(actions)[endpoint][:1]
    if endpoint == "affiliate_edit":
        items = [{"affiliate_id": actions.affiliate().id, "first_name": "Somebody", "city": "Rome"}]
    if endpoint == "affiliate_status_change":
        actions.sandbox.change_affiliate(items[0]["affiliate_id"], status="ACTIVE")
    lose(actions, endpoint, items, acted=acted)
    actions.sandbox.advance(seconds=200)  # an order can be processed again after two minutes
    assert evidence(actions).verdict == TOLD[endpoint][not acted]


def test_what_refersion_does_not_show_is_for_a_person_to_look_at(actions: ActionsHarness) -> None:
    lose(actions, "affiliate_trigger", items_of(actions)["affiliate_trigger"], acted=True)
    assert evidence(actions).verdict is Verdict.CANNOT_TELL
    silent = set(ENDPOINTS) - set(TOLD)
    assert {LOOKS[name] for name in silent} == {report_no_evidence}
    assert report_no_evidence not in {LOOKS[name] for name in TOLD}


class TestACredit:
    def test_is_found_by_its_reference_whatever_else_there_is(self, actions: ActionsHarness) -> None:
        """The same credit was sent twice before, and somebody also creates it manually."""
        credit = credit_of(actions.affiliate())
        items = [credit | {"key": f"k{number}"} for number in range(3)]
        lose(actions, CREDIT, items, acted=True)
        by_hand(actions)
        found = evidence(actions)
        assert found.verdict is Verdict.DONE
        (row,) = found.rows
        made = max(row.id for row in actions.sandbox.account.conversions.values() if "[ref " in row.notes)
        assert (row["id"], found.found) == (str(made), {"conversion_id": str(made)})

    def test_that_was_not_done_is_not_taken_for_those_that_were(self, actions: ActionsHarness) -> None:
        credit = credit_of(actions.affiliate())
        lose(actions, CREDIT, [credit | {"key": f"k{number}"} for number in range(3)], acted=False)
        assert evidence(actions).verdict is Verdict.NOT_FOUND

    def test_without_a_reference_is_likely_and_shown(self, actions: ActionsHarness) -> None:
        lose(actions, CREDIT, [credit_of(actions.affiliate())], acted=False)
        number = by_hand(actions)
        found = evidence(actions)
        assert (found.verdict, found.found) == (Verdict.LIKELY, {"conversion_id": str(number)})
        assert found.rows[0]["commission_total"] == "12.5000"

    @pytest.mark.parametrize("acted", [True, False])
    def test_is_looked_for_by_amount_where_the_account_shows_no_notes(
        self, actions: ActionsHarness, acted: bool
    ) -> None:
        actions.sandbox.configure(remove_fields=["Conversion.notes"])
        credit = credit_of(actions.affiliate())
        lose(actions, CREDIT, [credit | {"key": "k0"}, credit | {"key": "k1"}], acted=acted)
        assert evidence(actions).verdict is (Verdict.LIKELY if acted else Verdict.NOT_FOUND)

    def test_is_summed_up_without_a_token(self, actions: ActionsHarness) -> None:
        credit = credit_of(actions.affiliate())
        lose(actions, CREDIT, [credit | {"key": "k0"}, credit | {"key": "k1"}], acted=True)
        found = evidence(actions, actions.account(graphql_token=None))
        assert found.verdict is Verdict.CANNOT_TELL
        assert "Refersion counts 2 manual credits" in found.words
        assert "this journal has 1 of them" in found.words

    def test_is_found_when_the_clocks_differ(self, actions: ActionsHarness) -> None:
        """Conversions have the time of Refersion's clock, not of this machine's."""
        actions.sandbox.advance(days=40)
        lose(actions, CREDIT, [credit_of(actions.affiliate())], acted=True)
        assert evidence(actions).verdict is Verdict.DONE


def by_hand(actions: ActionsHarness) -> int:
    return actions.sandbox.insert_conversion(
        affiliate_id=actions.affiliate().id,
        commission_total="12.50",
        total="0.00",
        currency="USD",
        type="MANUAL_CREDIT_BY_CLIENT",
        notes="Given by hand",
    )


def test_what_needs_graphql_says_so(actions: ActionsHarness) -> None:
    lose(actions, "conversion_cancel", items_of(actions)["conversion_cancel"], acted=True)
    with pytest.raises(MissingCredentials, match="REFERSION_GRAPHQL_TOKEN"):
        evidence(actions, actions.account(graphql_token=None))


class TestADecision:
    def decide(self, actions: ActionsHarness, done: bool, found: dict[str, str] | None = None) -> None:
        with open_journal(actions.warehouse, print) as (journal, session):
            entry = find_entry(journal.entries(), journal.entries()[0].key[:6])
            check_decision(entry, done, None, False)
            resolve(
                entry,
                journal,
                session,
                actions.warehouse,
                done=done,
                by="Grace",
                note="asked their support",
                found=found or {},
                tell=print,
            )

    def test_that_it_was_done_keeps_it_from_being_sent(self, actions: ActionsHarness) -> None:
        credit = [credit_of(actions.affiliate())]
        lose(actions, CREDIT, credit, acted=True)
        self.decide(actions, True, {"conversion_id": "77"})
        assert actions.send(CREDIT, credit) == []
        assert actions.query(
            "SELECT outcome, conversion_id, settled_by, message FROM refersion_data.conversion_manual_credit"
        ) == [("done", "77", "Grace", "Settled by Grace: asked their support")]

    def test_that_it_was_not_done_lets_the_next_run_send_it(self, actions: ActionsHarness) -> None:
        credit = [credit_of(actions.affiliate())]
        lose(actions, CREDIT, credit, acted=False)
        self.decide(actions, False)
        assert actions.send(CREDIT, credit) == ["done"]
        assert actions.credits() == [Decimal("12.50")]
        (entry,) = actions.journal()
        assert (entry.attempt, entry.outcome) == (2, "done")

    def test_is_asked_for_once(self, actions: ActionsHarness) -> None:
        lose(actions, CREDIT, [credit_of(actions.affiliate())], acted=True)
        self.decide(actions, True)
        with pytest.raises(CannotSettle, match="does not need to be settled: it is done"):
            self.decide(actions, False)

    def test_that_would_send_twice_is_refused(self, actions: ActionsHarness) -> None:
        lose(actions, CREDIT, [credit_of(actions.affiliate())], acted=True)
        found = evidence(actions)
        (entry,) = actions.journal()
        with pytest.raises(CannotSettle, match="it will be sent a second time"):
            check_decision(entry, False, found, False)
        check_decision(entry, False, found, True)
        check_decision(entry, True, found, False)

    def test_needs_a_key_that_is_one_items(self, actions: ActionsHarness) -> None:
        lose(actions, CREDIT, [credit_of(actions.affiliate(), key=f"k{at}") for at in range(2)], acted=True)
        with pytest.raises(CannotSettle, match="2 items have keys that begin with k"):
            find_entry(actions.journal(), "k")
        with pytest.raises(CannotSettle, match="no item with the key z"):
            find_entry(actions.journal(), "z")
        assert find_entry(actions.journal(), "k1").key == "k1"

"""Runs actions like a user: jobs run in this process on a warehouse that was loaded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from refersion_dagster.actions.execution.executor import perform, send_ordered
from refersion_dagster.actions.journal.journal import Entry, Journal, RequestContext
from refersion_dagster.actions.journal.store import find_store, journal_of
from refersion_dagster.actions.operations.catalog import ENDPOINTS, Endpoint
from refersion_dagster.actions.orchestration.jobs import action_job
from refersion_dagster.actions.planning.input_files import from_configuration
from refersion_dagster.actions.planning.plan import Order, Plan, make_plan
from refersion_dagster.actions.planning.preflight import AmountLimits
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.model import Affiliate, Conversion
from refersion_dagster.settings import ALLOW_WRITES, Settings
from refersion_dagster.warehouse.session import Session
from refersion_dagster_tests.location import Outcome, account_of, fresh_instance, outcome, resources

CREDIT = "conversion_manual_credit"
WRITES = tuple(f"rest:{endpoint.path}" for endpoint in ENDPOINTS.values())

WRITES_ALLOWED = Settings.of({ALLOW_WRITES: "true"})
WRITES_OFF = Settings.of({})


@cache
def job_of(endpoint: Endpoint, allowed: bool = True) -> dg.JobDefinition:
    return action_job(endpoint, WRITES_ALLOWED if allowed else WRITES_OFF)


@dataclass(frozen=True)
class ActionsHarness:
    """An account, an up-to-date warehouse, and a user who writes."""

    sandbox: SandboxServer
    database: Path
    destination: str = "duckdb"
    journal_address: str | None = None

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(
            destination=self.destination,
            duckdb_path=str(self.database),
            journal=self.journal_address,
            lock_timeout_seconds=60,
        )

    def account(self, **changes: Any) -> RefersionResource:
        return account_of(self.sandbox, **{"retry_seconds": 0, **changes})

    def launch(
        self,
        endpoint: str,
        items: list[dict[str, Any]] | None = None,
        *,
        account: RefersionResource | None = None,
        tags: Mapping[str, str] | None = None,
        allowed: bool = True,
        **config: Any,
    ) -> Outcome:
        """Runs the job of an operation; it sends unless `dry_run` is set."""
        given = {**by_hand(), "dry_run": False, **config, **({"items": items} if items else {})}
        with fresh_instance() as instance:
            result = job_of(ENDPOINTS[endpoint], allowed).execute_in_process(
                instance=instance,
                run_config={"ops": {endpoint: {"config": given}}},
                resources=resources(account or self.account(), self.warehouse),
                raise_on_error=False,
                tags=dict(tags or {}),
            )
            return outcome(instance, result.run_id)

    def order(
        self, endpoint: str, items: list[dict[str, Any]], run: str = "run", purpose: str = "", **changes: Any
    ) -> Order:
        return Order(
            **{
                "endpoint": ENDPOINTS[endpoint],
                "rows": from_configuration(items),
                "asking": RequestContext("Ada", run, "configuration", purpose),
                "limits": AmountLimits(1_000, Decimal(100_000)),
                **changes,
            }
        )

    def send(self, endpoint: str, items: list[dict[str, Any]], **changes: Any) -> list[str]:
        """Sends items like a job, without Dagster, result tables and reading again. Returns their outcomes."""
        account = changes.pop("account", None) or self.account()
        with self.warehouse.write_lock(print), self.opened() as (session, journal):
            _, sent = send_ordered(self.order(endpoint, items, **changes), account, session, journal, print)
        return [result.outcome.value for _, result in sent.results]

    def perform(self, endpoint: str, items: list[dict[str, Any]], **changes: Any) -> list[str]:
        """Like `send`, with the result tables."""
        _, sent = perform(self.order(endpoint, items, **changes), self.account(), self.warehouse, print)
        return [result.outcome.value for _, result in sent.results]

    def journal(self) -> list[Entry]:
        with self.opened() as (_, journal):
            return journal.entries()

    def plan(self, order: Order) -> Plan:
        with self.opened() as (session, journal):
            return make_plan(order, session, journal)

    @contextmanager
    def unlocked_journal(self) -> Iterator[Journal]:
        """The journal for a run that has lost the right to write."""
        store = find_store(self.warehouse)
        with store.session() if store else self.warehouse.session() as session:
            journal = Journal(session)
            journal.create()
            yield journal

    @contextmanager
    def opened(self) -> Iterator[tuple[Session, Journal]]:
        """A session of the warehouse, and its journal."""
        with self.warehouse.session() as session, journal_of(self.warehouse, session, print) as journal:
            yield session, journal

    def outcomes(self) -> list[str]:
        return [entry.outcome.value for entry in self.journal()]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.warehouse.query(sql)

    def writes(self) -> dict[str, int]:
        """Returns the write requests, successful or not, since the sandbox's counts were reset."""
        return {route: count for route, count in self.sandbox.requests().items() if route in WRITES}

    def affiliate(self, number: int = 0) -> Affiliate:
        return sorted(self.sandbox.account.affiliates.values(), key=lambda one: one.id)[number]

    def conversions(self, status: str) -> list[Conversion]:
        return [row for row in self.sandbox.account.conversions.values() if row.status == status]

    def credits(self) -> list[Decimal]:
        """Returns the amounts of the credits that have a reference."""
        with self.sandbox.account.lock:
            rows = list(self.sandbox.account.conversions.values())
        return [row.commission_total for row in rows if row.type == "MANUAL_CREDIT_BY_CLIENT" and "[ref " in row.notes]


def by_hand() -> dict[str, Any]:
    """Returns the fields that a person fills in to launch a run."""
    return {"requested_by": "Ada", "launched_on": f"{datetime.now(UTC):%Y-%m-%d}"}


def credit_of(affiliate: Affiliate, commission: str = "12.50", **changes: Any) -> dict[str, Any]:
    return {
        "affiliate_id": affiliate.id,
        "commission": commission,
        "currency": "USD",
        "status": "PENDING",
        "notes": "Bonus",
    } | changes


def csv_file(path: Path, *lines: str) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)

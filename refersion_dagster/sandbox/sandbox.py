"""One sandbox: an account, its history and clock, and the switches and faults that tests set."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from refersion_dagster.sandbox.account import BONUS_TIER_MOVEMENT, TOPICS, Account
from refersion_dagster.sandbox.api.graphql_schema import build_schema
from refersion_dagster.sandbox.clock import DAY, from_iso, iso
from refersion_dagster.sandbox.exports import (
    ExportFormat,
    affiliates_table,
    conversions_table,
    name_export,
    performance_table,
    write_table,
)
from refersion_dagster.sandbox.faults import Fault, Faults, fault_from_json
from refersion_dagster.sandbox.lifecycle import mutations
from refersion_dagster.sandbox.lifecycle.timeline import Timeline
from refersion_dagster.sandbox.model import Reward
from refersion_dagster.sandbox.settings import SandboxSettings, apply_values, as_json
from refersion_dagster.sandbox.status_page import SandboxIncident, StatusBoard
from refersion_dagster.sandbox.webhooks.sender import Webhooks

PLAIN = ExportFormat()


class Sandbox:
    """The account and everything that can be done to it outside the API, without a server."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.account = Account(settings)
        Timeline(self.account).begin()
        self.faults = Faults()
        self.webhooks = Webhooks(self.account)
        self.status = StatusBoard()

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.account.now, UTC)

    @property
    def start(self) -> datetime:
        """The first second of the history's orders."""
        return datetime.fromtimestamp(self.account.world.start, UTC)

    def advance(self, *, days: float = 0, seconds: float = 0, to: str | datetime | None = None) -> datetime:
        """Advance the clock, run everything that falls due, and return the new time.

        `to` is a time (a string in ISO 8601). Raises ValueError for a time before now.
        """
        with self.account.lock:
            if to is None:
                target = self.account.now + int(days * DAY + seconds)
            else:
                target = int(to.timestamp()) if isinstance(to, datetime) else from_iso(to)
            self.account.clock.move_to(target)
            return self.now

    def export(self, folder: Path, written: ExportFormat = PLAIN, since: datetime | None = None) -> list[Path]:
        """Export affiliates, conversions and the performance report, into files named by the sandbox's clock.

        `since` is the first moment of conversions and report (None: all of them).
        """
        with self.account.lock:
            low = int(since.timestamp()) if since else 0
            tables = {
                "affiliates": affiliates_table(self.account),
                "conversions": conversions_table(self.account, written, low),
                "performance": performance_table(self.account, written, low),
            }
            paths = []
            for kind, table in tables.items():
                named = f"{kind} from {since:%Y-%m-%d}" if since and kind != "affiliates" else kind
                path = folder / name_export(named, self.account.now, written.timezone)
                path.write_bytes(write_table(table, written))
                paths.append(path)
        return paths

    def fault(self, route: str, kind: str, **details: Any) -> None:
        """Add a fault to requests on `route`; see `faults.Fault` for the details."""
        self.faults.add(fault_from_json({"route": route, "kind": kind, **details}))

    def add_fault(self, values: dict[str, Any]) -> Fault:
        fault = fault_from_json(values)
        self.faults.add(fault)
        return fault

    def clear_faults(self) -> None:
        self.faults.clear()

    def configure(self, **switches: Any) -> dict[str, Any]:
        """Set switches (see `settings.Switches`) and return all of them. Raises ValueError for unknown ones."""
        with self.account.lock:
            values = apply_values(self.account.switches, switches)
            build_schema(values, {})
            self.account.switches = values
            return as_json(values)

    def report_incident(
        self, name: str, impact: str = "major", components: Sequence[str] = ("GraphQL API",)
    ) -> dict[str, Any]:
        """Show an incident on the status page, and return the page's summary. It changes nothing else."""
        self.status.incidents.append(SandboxIncident(name, impact, tuple(components), self.account.now))
        return self.status.summary(self.account.now)

    def resolve_incidents(self) -> dict[str, Any]:
        """Remove all incidents from the status page, and return its summary."""
        self.status.incidents.clear()
        return self.status.summary(self.account.now)

    def switches(self) -> dict[str, Any]:
        return as_json(self.account.switches)

    def sums(self) -> dict[str, Any]:
        """The account's ground truth; see `Account.sums`."""
        return self.account.sums()

    def requests(self) -> dict[str, int]:
        """Number of requests per route, e.g. {"rest:/affiliate/list": 3, "graphql:conversions": 12}."""
        return self.faults.requests()

    def forget_requests(self) -> None:
        self.faults.forget_requests()

    def insert_conversion(self, **values: Any) -> int:
        """Insert a row with any values, even invalid ones, and return its id. See `mutations.insert_conversion`."""
        return mutations.insert_conversion(self.account, values)

    def change_conversion(self, conversion_id: int, **values: Any) -> None:
        mutations.change_conversion(self.account, conversion_id, values)

    def delete_conversion(self, conversion_id: int) -> None:
        mutations.delete_conversion(self.account, conversion_id)

    def cancel_part(self, conversion_id: int, **values: Any) -> int:
        """Cancel part of an order: `total`, and `commission` or its share. Returns the id of the new row."""
        return mutations.cancel_part(self.account, conversion_id, values)

    def enter_payment(
        self, conversion_ids: Sequence[int], *, created: str | int | None = None, payment_id: int | None = None
    ) -> int:
        """Mark due rows as paid by a new payment and return its id. See `mutations.enter_payment`."""
        return mutations.enter_payment(self.account, conversion_ids, created, payment_id)

    def undo_payment(self, payment_id: int) -> list[int]:
        """Delete a payment, mark its rows as unpaid and return their ids."""
        return mutations.undo_payment(self.account, payment_id)

    def delete_payment(self, payment_id: int) -> None:
        """Delete a payment and leave its rows unchanged."""
        mutations.delete_payment(self.account, payment_id)

    def delete_affiliate(self, affiliate_id: int) -> None:
        mutations.delete_affiliate(self.account, affiliate_id)

    def change_affiliate(self, affiliate_id: int, **values: Any) -> None:
        mutations.change_affiliate(self.account, affiliate_id, values)

    def reach_bonus_tier(self, offer_id: int, milestone: str, amount: str, notes: str = "") -> int:
        """Grant a reward for a bonus tier and return its id. Only a webhook reports it.

        Raises KeyError for an offer that does not exist.
        """
        if offer_id not in self.account.offers:
            raise KeyError(f"offer {offer_id}")
        with self.account.lock:
            reward = Reward(self.account.new_id("trigger"), offer_id, milestone, Decimal(amount), notes)
            self.account.announce(BONUS_TIER_MOVEMENT, reward)
        return reward.id

    def send_webhooks(self, url: str, secret: str, topics: Sequence[str] = TOPICS) -> dict[str, Any]:
        """Send all further events to `url`, and return the delivery counts so far. See `webhooks.sender.Webhooks`."""
        self.webhooks.send_to(url, secret, topics)
        return self.webhooks.state()

    def clock(self) -> Mapping[str, Any]:
        return {"now": iso(self.account.now), "unix": self.account.now}

"""One sandbox: an account, its history and clock, and the switches and faults that tests turn."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from refersion_dagster.sandbox.account import BONUS_TIER_MOVEMENT, TOPICS, Account
from refersion_dagster.sandbox.api.graphql_schema import build_schema
from refersion_dagster.sandbox.clock import DAY, from_iso, iso
from refersion_dagster.sandbox.faults import Fault, Faults, fault_from_json
from refersion_dagster.sandbox.lifecycle import mutations
from refersion_dagster.sandbox.lifecycle.timeline import Timeline
from refersion_dagster.sandbox.model import Reward
from refersion_dagster.sandbox.settings import SandboxSettings, as_json, changed
from refersion_dagster.sandbox.webhooks.sender import Webhooks


class Sandbox:
    """The account with all that may be done to it from outside of the API, without a server."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.account = Account(settings)
        Timeline(self.account).begin()
        self.faults = Faults()
        self.webhooks = Webhooks(self.account)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.account.now, UTC)

    @property
    def start(self) -> datetime:
        """The first second of the history's orders."""
        return datetime.fromtimestamp(self.account.world.start, UTC)

    def advance(self, *, days: float = 0, seconds: float = 0, to: str | datetime | None = None) -> datetime:
        """Move the clock on, and let everything happen that is due on the way; the new time.

        `to` is a time (a text in ISO 8601). ValueError for a time before now.
        """
        with self.account.lock:
            if to is None:
                target = self.account.now + int(days * DAY + seconds)
            else:
                target = int(to.timestamp()) if isinstance(to, datetime) else from_iso(to)
            self.account.clock.move_to(target)
            return self.now

    def fault(self, route: str, kind: str, **details: Any) -> None:
        """Let requests on `route` meet a fault; see `faults.Fault` for the details."""
        self.faults.add(fault_from_json({"route": route, "kind": kind, **details}))

    def add_fault(self, values: dict[str, Any]) -> Fault:
        fault = fault_from_json(values)
        self.faults.add(fault)
        return fault

    def clear_faults(self) -> None:
        self.faults.clear()

    def configure(self, **switches: Any) -> dict[str, Any]:
        """Turn switches (see `settings.Switches`), and return all of them. ValueError for what does not exist."""
        with self.account.lock:
            values = changed(self.account.switches, switches)
            build_schema(values, {})
            self.account.switches = values
            return as_json(values)

    def switches(self) -> dict[str, Any]:
        return as_json(self.account.switches)

    def sums(self) -> dict[str, Any]:
        """The account's own truth; see `Account.sums`."""
        return self.account.sums()

    def requests(self) -> dict[str, int]:
        """How many requests each route has seen, e.g. {"rest:/affiliate/list": 3, "graphql:conversions": 12}."""
        return self.faults.requests()

    def forget_requests(self) -> None:
        self.faults.forget_requests()

    def insert_conversion(self, **values: Any) -> int:
        """A row with any values, broken ones included; its id. See `changes.insert_conversion`."""
        return mutations.insert_conversion(self.account, values)

    def change_conversion(self, conversion_id: int, **values: Any) -> None:
        mutations.change_conversion(self.account, conversion_id, values)

    def delete_conversion(self, conversion_id: int) -> None:
        mutations.delete_conversion(self.account, conversion_id)

    def cancel_part(self, conversion_id: int, **values: Any) -> int:
        """Take back part of an order: `total`, and `commission` or its share. The id of the new row."""
        return mutations.cancel_part(self.account, conversion_id, values)

    def enter_payment(
        self, conversion_ids: Sequence[int], *, created: str | int | None = None, payment_id: int | None = None
    ) -> int:
        """Mark due rows as paid by a new payment; its id. See `changes.enter_payment`."""
        return mutations.enter_payment(self.account, conversion_ids, created, payment_id)

    def undo_payment(self, payment_id: int) -> list[int]:
        """Remove the paid status: the payment is gone and its rows, whose ids are returned, are unpaid again."""
        return mutations.undo_payment(self.account, payment_id)

    def delete_payment(self, payment_id: int) -> None:
        """Take a payment away and leave its rows as they are."""
        mutations.delete_payment(self.account, payment_id)

    def delete_affiliate(self, affiliate_id: int) -> None:
        mutations.delete_affiliate(self.account, affiliate_id)

    def change_affiliate(self, affiliate_id: int, **values: Any) -> None:
        mutations.change_affiliate(self.account, affiliate_id, values)

    def reach_bonus_tier(self, offer_id: int, milestone: str, amount: str, notes: str = "") -> int:
        """Give a reward for a bonus tier, which nothing but a webhook tells of; its id.

        Raises KeyError for an offer that is not there.
        """
        if offer_id not in self.account.offers:
            raise KeyError(f"offer {offer_id}")
        with self.account.lock:
            reward = Reward(self.account.new_id("trigger"), offer_id, milestone, Decimal(amount), notes)
            self.account.announce(BONUS_TIER_MOVEMENT, reward)
        return reward.id

    def send_webhooks(self, url: str, secret: str, topics: Sequence[str] = TOPICS) -> dict[str, Any]:
        """Send what happens from now on to `url`; what became of it so far. See `webhooks.Webhooks`."""
        self.webhooks.send_to(url, secret, topics)
        return self.webhooks.state()

    def clock(self) -> Mapping[str, Any]:
        return {"now": iso(self.account.now), "unix": self.account.now}

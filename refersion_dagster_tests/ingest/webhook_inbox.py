"""Puts events into an inbox as the receiver does, and provides a warehouse to drain them into."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource

from refersion_dagster.ingest.webhooks.events import WebhookInbox, webhook_events
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.webhooks.payloads import body
from refersion_dagster.webhooks.inbox import Inbox, ReceivedEvent
from refersion_dagster_tests.location import Outcome, account_of, fresh_instance, outcome, query

ASSET = "refersion/webhook_events"
RECEIVED_AT = datetime(2026, 7, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@dataclass
class WebhookWarehouse:
    """An account, the warehouse with its tables, and an inbox. The warehouse has its own hash salt."""

    sandbox: SandboxServer
    folder: Path
    destination: str = "duckdb"

    @classmethod
    def of(cls, sandbox: SandboxServer, folder: Path, loaded: Path | None) -> WebhookWarehouse:
        """Starts from a copy of a warehouse that was loaded from an equal account, or from none."""
        made = cls(sandbox, folder)
        if loaded:
            shutil.copy(loaded, made.database)
        return made

    @property
    def database(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox.sqlite"

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(destination=self.destination, duckdb_path=str(self.database))

    def conversion(self, number: int, **changes: Any) -> dict[str, Any]:
        """A conversion as a webhook sends it, with changes."""
        return {**body(self.sandbox.account, self.sandbox.account.conversions[number]), **changes}

    def receive(self, *values: Any, topic: str = "APPROVED_CONVERSION") -> None:
        raw = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
        with Inbox(self.inbox, create=True) as inbox:
            inbox.add([ReceivedEvent(topic, body, RECEIVED_AT) for body in raw])

    def waiting(self) -> int:
        with Inbox(self.inbox) as inbox:
            return inbox.state().waiting

    def drain(self, read_again: bool = False, **account: Any) -> Outcome:
        """Materialises the asset in this process."""
        resources = {
            "refersion": account_of(self.sandbox, **{"pii_salt": None, "retry_seconds": 0, **account}),
            "warehouse": self.warehouse,
            "webhook_inbox": WebhookInbox(path=str(self.inbox)),
            "dlt": DagsterDltResource(),
        }
        with fresh_instance() as instance:
            result = dg.materialize(
                [webhook_events],
                resources=resources,
                instance=instance,
                run_config={"ops": {"refersion__webhook_events": {"config": {"read_again": read_again}}}},
                raise_on_error=False,
            )
            return outcome(instance, result.run_id)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.database, sql)

    def state(self, number: int, *columns: str) -> tuple[Any, ...]:
        """Columns of a conversion in the warehouse."""
        (row,) = self.query(f"SELECT {', '.join(columns)} FROM refersion_data.conversions WHERE id = '{number}'")
        return row

    def history(self, number: int) -> list[tuple[str, str]]:
        """Changes of a conversion, each with the status from then on, oldest first."""
        return self.query(
            f"SELECT change, status FROM refersion_data.conversion_history WHERE id = '{number}' ORDER BY seen_at"
        )

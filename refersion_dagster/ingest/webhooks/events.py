"""The asset `refersion/webhook_events`: drains the inbox into the warehouse, and handles what the events report."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource
from pydantic import Field

from refersion_dagster.documentation import answers
from refersion_dagster.errors import ReportedError
from refersion_dagster.failures import report_errors
from refersion_dagster.ingest.account_guard import refuse_another_account
from refersion_dagster.ingest.loader import load_tables
from refersion_dagster.ingest.specs import OWNERS, asset_key, column_schema
from refersion_dagster.ingest.webhooks.merge import apply_conversions
from refersion_dagster.ingest.webhooks.scope import AffectedScope, Reload
from refersion_dagster.ingest.webhooks.tables import WEBHOOK_EVENTS, EventBatch, webhook_source
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion import LoadRequest
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.settings import WebhookSettings
from refersion_dagster.settings.part import like
from refersion_dagster.usage.costs import show_costs
from refersion_dagster.warehouse.load import run_load
from refersion_dagster.webhooks.inbox import Inbox
from refersion_dagster.webhooks.inbox_file import NoInbox

GROUP = "webhooks"
EVENTS_PER_LOAD = 10_000
# Maximum number of events that could not be applied, in log and metadata.
MOST_TOLD = 20


class WebhookInbox(dg.ConfigurableResource):
    """The inbox that `refersion-dagster webhooks` puts events into."""

    path: str = like(WebhookSettings, "webhook_inbox")

    def open(self) -> Inbox:
        """Raises NoInbox if there is no inbox, InboxError if the file is not an inbox."""
        return Inbox(Path(self.path))


class WebhookConfig(dg.Config):
    """What to do with the events that wait."""

    read_again: bool = Field(
        default=True,
        description="Read the affected rows from Refersion after applying the events: the days of their "
        "conversions, payments, affiliates. If false, events are stored and applied, and the next refresh reads "
        "the rest.",
    )


def webhook_events_asset(names: Namespace = USUAL) -> dg.AssetsDefinition:
    """Returns the asset of the events."""

    @dg.asset(
        key=asset_key(WEBHOOK_EVENTS.name, names),
        description=WEBHOOK_EVENTS.description
        + answers(
            "Which events did Refersion send, when, and with what content?", "Which events could not be applied?"
        ),
        group_name=names.group_name(GROUP),
        kinds={"dlt", "webhook"},
        owners=OWNERS,
        pool=names.pool,
        metadata={
            "dagster/column_schema": column_schema(WEBHOOK_EVENTS),
            "dagster/table_name": names.table(DATASET, WEBHOOK_EVENTS.name),
            "primary_key": ", ".join(WEBHOOK_EVENTS.primary_key),
        },
        output_required=False,
    )
    @names.rename_resources
    @report_errors
    @show_costs
    def load_events(
        context: dg.AssetExecutionContext,
        config: WebhookConfig,
        refersion: RefersionResource,
        warehouse: Warehouse,
        webhook_inbox: WebhookInbox,
        dlt: DagsterDltResource,
    ) -> Iterator[dg.MaterializeResult]:
        """Events are removed from the inbox once they are in the warehouse and the affected rows were read again.

        An interrupted run is repeated completely, which does not change what was already done.
        """
        try:
            inbox = webhook_inbox.open()
        except NoInbox as error:
            context.log.info(f"{error} There is nothing to do.")
            return
        with inbox, inbox.draining():
            drain = Drain(context, names, refersion, warehouse, dlt, inbox)
            drain.run()
            readings: list[Reload] = []
            if config.read_again:
                try:
                    readings = reload_rows(context, names, refersion, warehouse, dlt, drain.concerned)
                except ReportedError as error:
                    if not error.may_pass:
                        # A refresh will raise and report the same error, so the events need not wait for it.
                        inbox.acknowledge(drain.last)
                    raise
            inbox.acknowledge(drain.last)
            if drain.applied and not any("conversions" in reading.tables for reading in readings):
                for table in ("conversions", "conversion_history"):
                    told = {"dagster/row_count": drain.row_counts[table], "conversions_applied": drain.applied}
                    context.log_event(dg.AssetMaterialization(asset_key(table, names), metadata=told))
            yield dg.MaterializeResult(
                metadata={**drain.metadata(), "read_again": [str(reading) for reading in readings]}
            )

    return load_events


webhook_events = webhook_events_asset()


class Drain:
    """Loads the waiting events into the warehouse, within one run."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        names: Namespace,
        refersion: RefersionResource,
        warehouse: Warehouse,
        dlt_resource: DagsterDltResource,
        inbox: Inbox,
    ) -> None:
        self.context = context
        self.names = names
        self.refersion = refersion
        self.warehouse = warehouse
        self.dlt_resource = dlt_resource
        self.inbox = inbox
        self.concerned = AffectedScope()
        self.last = 0
        self.topics: Counter[str] = Counter()
        self.applied = 0
        self.unreadable: list[str] = []
        self.row_counts: dict[str, int] = {}
        # The metadata from dagster-dlt for the last load, as for raw tables.
        self.load_metadata: Mapping[str, Any] = {}

    def run(self) -> None:
        """Loads the events that are waiting now; later ones are left to the next run.

        Raises AnotherAccount before the first row; all events then stay in the inbox.
        """
        newest = self.inbox.state().newest
        with self.warehouse.write_lock(self.context.log.info):
            # Events do not name their account. They count as events of the account with the configured keys.
            refuse_another_account(self.refersion, self.warehouse)
            loaded = "conversions" in self.warehouse.row_counts(["conversions"])
            if not loaded:
                self.context.log.warning(
                    "Conversions were never loaded, so events are stored but not applied. Run refersion_refresh."
                )
            while kept := self.inbox.read(self.last, up_to=newest, rows=EVENTS_PER_LOAD):
                batch = EventBatch.of(kept)
                self._load(batch)
                if loaded:
                    self.applied += apply_conversions(self.warehouse)
                    self.concerned.add(batch.events, self.warehouse)
                self._count(batch)
                self.last = kept[-1].seq
            self.row_counts = self.warehouse.row_counts([WEBHOOK_EVENTS.name, "conversions", "conversion_history"])

    def _load(self, batch: EventBatch) -> None:
        source = webhook_source(batch, self.refersion.pii, self.refersion.pii_salt)
        with self.warehouse.pipeline() as pipeline:
            info = run_load(pipeline, source, self.warehouse.classify_error)
            self.load_metadata = self.dlt_resource.extract_resource_metadata(
                self.context, source.resources[WEBHOOK_EVENTS.name], info, pipeline
            )

    def _count(self, batch: EventBatch) -> None:
        self.topics.update(event.kept.topic or "(none)" for event in batch.events)
        for event_id, reason in batch.unreadable.items():
            self.unreadable.append(f"event {event_id}: {reason}")
            if len(self.unreadable) <= MOST_TOLD:
                self.context.log.warning(f"Event {event_id} is stored but not applied: {reason}")

    def metadata(self) -> dict[str, Any]:
        refused = {
            kind: count for kind, count in self.inbox.state().counts.items() if kind not in ("stored", "repeated")
        }
        return {
            **self.load_metadata,
            "dagster/row_count": self.row_counts.get(WEBHOOK_EVENTS.name, 0),
            "dagster/column_schema": column_schema(WEBHOOK_EVENTS),
            "dagster/table_name": self.names.table(DATASET, WEBHOOK_EVENTS.name),
            "rows_loaded": self.topics.total(),
            "events": self.topics.total(),
            "topics": dict(self.topics),
            "conversions_applied": self.applied,
            "conversions_not_applied": len(self.unreadable),
            "not_applied": self.unreadable[:MOST_TOLD],
            "refused_by_the_receiver": refused,
            "warehouse": self.warehouse.location,
        }


def reload_rows(
    context: dg.AssetExecutionContext,
    names: Namespace,
    refersion: RefersionResource,
    warehouse: Warehouse,
    dlt: DagsterDltResource,
    concerned: AffectedScope,
) -> list[Reload]:
    """Reads the rows affected by events again, of loaded tables whose keys are set. Keeps the high-water mark.

    Returns what was read. Raises what load_tables raises.
    """
    read: list[Reload] = []
    readings = concerned.readings()
    # Tables that were never loaded wait for the first refresh.
    with warehouse.write_lock(context.log.info):
        there = warehouse.row_counts([table for reading in readings for table in reading.tables])
    keys = {True: refersion.graphql_token, False: refersion.api_key}
    for reading in readings:
        tables = [table for table in reading.tables if table in there and keys[ENTITIES[table].is_graphql]]
        if not tables:
            continue
        span = reading.span
        request = LoadRequest(
            read_from=span and span.start, read_to=span and span.end, details_of=frozenset(concerned.affiliates)
        )
        history = ["conversion_history"] if "conversions" in tables else []
        for loaded in load_tables(context, names, refersion, warehouse, dlt, request, [*tables, *history]):
            assert loaded.asset_key  # noqa: S101 - load_tables names the asset of each result
            context.log_event(dg.AssetMaterialization(loaded.asset_key, metadata=loaded.metadata))
        read.append(Reload(tuple(tables), reading.span))
    return read

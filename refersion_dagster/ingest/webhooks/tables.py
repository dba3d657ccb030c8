"""Events of the inbox as tables: `webhook_events`, kept forever, and their conversions, kept for one run."""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, which type checkers cannot see)

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract.resource import DltResource

from refersion_dagster.refersion.errors import UnreadableValue
from refersion_dagster.refersion.personal_data import privacy_of
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder, dlt_columns
from refersion_dagster.refersion.tables.catalog import CONVERSIONS, Column, Entity, FieldSource, Kind
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy
from refersion_dagster.settings import AccountSettings
from refersion_dagster.webhooks.events import Subject, WebhookEvent, conversion_row, read_event
from refersion_dagster.webhooks.inbox import StoredEvent
from refersion_dagster.webhooks.personal import hide_personal_values

OURS, DOCUMENTED = FieldSource.OURS, FieldSource.DOCUMENTED

WEBHOOK_EVENTS = Entity(
    name="webhook_events",
    description="Every event that Refersion sent to the webhook receiver, stored once and unchanged except for "
    "customers' personal data (REFERSION_PII). Conversions in events are applied to the conversions table if "
    "they are newer.",
    primary_key=("event_id",),
    columns=(
        Column("event_id", Kind.ID, "SHA-256 of topic and raw body, so a repeated event has the same id.", OURS, True),
        Column("topic", Kind.TEXT, "Refersion-Topic, as it was sent.", DOCUMENTED, required=True),
        Column("received_at", Kind.TIMESTAMP, "When it first arrived, by the receiver's clock.", OURS, required=True),
        Column(
            "subject",
            Kind.TEXT,
            "conversion, payment, affiliate, trigger, reward or other, determined from the body.",
            OURS,
        ),
        Column(
            "subject_id",
            Kind.ID,
            "Id of that conversion, payment (if there is exactly one), affiliate, trigger or reward.",
            OURS,
        ),
        Column(
            "changed_at", Kind.TIMESTAMP, "`updated` of the conversion, `created` of the newest payment, UTC.", OURS
        ),
        Column(
            "payload",
            Kind.TEXT,
            "The body as JSON, with customers' personal data hashed unless configured otherwise.",
            OURS,
        ),
    ),
)

# The conversions in the events that a run drains, unchanged. `turn` numbers the events of one conversion.
STAGED = "webhook_conversions"
TURN = Column("turn", Kind.INTEGER, "1 for the oldest event of a conversion within one run.", OURS, True)
SENT = tuple(column for column in CONVERSIONS.columns if column.evidence is not OURS)
WEBHOOK_CONVERSIONS = Entity(
    name=STAGED,
    description="Conversions in the events that the last run loaded; replaced by each run.",
    columns=(TURN, *SENT),
)
# If one run has many events of one conversion, this many of the latest are applied one by one, to record each state in
# the history.
MOST_TURNS = 5


@dataclass
class EventBatch:
    """Events that are loaded together.

    Args:
        events: in the order in which they arrived.
        unreadable: why conversions among them cannot be applied, by event id. Filled during the load.
    """

    events: list[WebhookEvent]
    unreadable: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: Sequence[StoredEvent]) -> EventBatch:
        return cls([read_event(one) for one in kept])


# Has the name of the main source, so that both share one schema and the salt in its state.
@dlt.source(name="refersion_source", section="refersion_source", max_table_nesting=0)
def webhook_source(batch: EventBatch, pii: str, pii_salt: str | None) -> Sequence[DltResource]:
    """The tables of a batch.

    Args:
        pii, pii_salt: as of refersion_source; the same customer has the same hash in every table.
    """
    policy = PersonalData(AccountSettings.of({}, pii=pii).pii)

    return [
        dlt.resource(
            lambda: iter([events_table(batch, privacy_of(policy, pii_salt))]),
            name=WEBHOOK_EVENTS.name,
            primary_key=list(WEBHOOK_EVENTS.primary_key),
            write_disposition={"disposition": "merge", "strategy": "delete-insert"},
            columns=dlt_columns(WEBHOOK_EVENTS),
        ),
        dlt.resource(
            lambda: iter([conversions_table(batch, privacy_of(policy, pii_salt))]),
            name=STAGED,
            write_disposition="replace",
            columns=dlt_columns(WEBHOOK_CONVERSIONS),
        ),
    ]


def events_table(batch: EventBatch, privacy: Privacy) -> pa.Table:
    """The batch as rows of webhook_events."""
    builder = ArrowTableBuilder(WEBHOOK_EVENTS, read_at=datetime.now(UTC), privacy=privacy)
    texts = hide_personal_values([event.kept.body.decode() for event in batch.events], privacy)
    return builder.build_rows(
        [
            {
                "event_id": event.kept.event_id,
                "topic": event.kept.topic,
                "received_at": event.kept.received_at.isoformat(sep=" "),
                "subject": event.subject.value,
                "subject_id": event.subject_id,
                "changed_at": event.changed_at and event.changed_at.isoformat(sep=" "),
                "payload": text,
            }
            for event, text in zip(batch.events, texts, strict=True)
        ]
    )


def conversions_table(batch: EventBatch, privacy: Privacy) -> pa.Table:
    """The readable conversions of the batch. Adds the others to `batch.unreadable`."""
    builder = ArrowTableBuilder(CONVERSIONS, read_at=datetime.now(UTC), privacy=privacy)
    events = [event for event in batch.events if event.subject is Subject.CONVERSION]
    readable = list(_readable(builder, events, batch.unreadable))
    turns = _turns(events := [event for event, _ in readable])
    table = builder.build_rows([row for _, row in readable]) if readable else builder.empty()
    names = [column.name for column in SENT]
    staged = table.select(names).add_column(
        0, pa.field(TURN.name, pa.int64(), nullable=False), pa.array(turns, pa.int64())
    )
    return staged.filter(pa.array([turn > 0 for turn in turns], pa.bool_()))


def _readable(
    builder: ArrowTableBuilder, events: Sequence[WebhookEvent], unreadable: dict[str, str]
) -> Iterator[tuple[WebhookEvent, dict[str, Any]]]:
    """Events with readable rows, and the rows. An error in one event does not affect the others."""
    rows = [conversion_row(event) for event in events]
    try:
        builder.build_rows(rows)
    except UnreadableValue:
        for event, row in zip(events, rows, strict=True):
            try:
                builder.build_rows([row])
            except UnreadableValue as error:
                unreadable[event.kept.event_id] = error.what
            else:
                yield event, row
    else:
        yield from zip(events, rows, strict=True)


def _turns(events: Sequence[WebhookEvent]) -> list[int]:
    """The turn of each event: 1 for the oldest applied event of a conversion, 0 for events that are not applied."""
    by_conversion: dict[str | None, list[int]] = defaultdict(list)
    for place, event in enumerate(events):
        by_conversion[event.subject_id].append(place)
    turns = [0] * len(events)
    for places in by_conversion.values():
        places.sort(key=lambda place: (events[place].changed_at or datetime.min.replace(tzinfo=UTC), place))
        for turn, place in enumerate(places[-MOST_TURNS:], start=1):
            turns[place] = turn
    return turns

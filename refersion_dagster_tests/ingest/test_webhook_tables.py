"""Events as tables: any JSON in an event becomes a row, and never prevents another event from becoming one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from refersion_dagster.ingest.webhooks.tables import SENT, EventBatch, conversions_table, events_table
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy
from refersion_dagster.webhooks.inbox import StoredEvent

GOOD = {
    "id": 1,
    "created": "2026-07-01 00:00:00",
    "updated": "2026-07-02 00:00:00",
    "status": "PENDING",
    "total": "20.00",
    "commission_total": "2.00",
    "currency": "USD",
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["2026-07-01 00:00:00", "0000-00-00 00:00:00", "1,234.50", "TRUE", "-1", "\ud83d", "\x00", " 7 "]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = sorted({column.path[0] for column in SENT} | {"data", "affiliates", "payments", "trigger"})
BODIES = st.one_of(
    JSON.filter(lambda value: isinstance(value, dict | list)),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8).map(lambda some: {**GOOD, **some}),
    st.dictionaries(st.sampled_from(["name", "email", "ip", "id", "first_name"]), JSON).map(
        lambda some: {**GOOD, "customer": some, "affiliate": some, "click": some, "data": None}
    ),
    JSON.map(
        lambda some: {"data": {"affiliates": {"7": {"id": some, "payments": [some, {"id": some, "created": some}]}}}}
    ),
)


def batch_of(*bodies: Any) -> EventBatch:
    return EventBatch.of(
        [
            StoredEvent(
                seq, f"{seq:064x}", "APPROVED_CONVERSION", json.dumps(body).encode(), datetime(2026, 7, 3, tzinfo=UTC)
            )
            for seq, body in enumerate(bodies, start=1)
        ]
    )


@settings(max_examples=40, database=None, derandomize=True)
@given(st.lists(BODIES, max_size=3), st.sampled_from(PersonalData))
def test_any_event_becomes_a_row_and_a_good_one_is_applied_whatever_comes_with_it(
    bodies: list[Any], policy: PersonalData
) -> None:
    batch = batch_of(*bodies, {**GOOD, "id": "the good one"})
    privacy = Privacy(policy, "salt")
    events, conversions = events_table(batch, privacy), conversions_table(batch, privacy)
    assert events.num_rows == len(bodies) + 1
    for payload in events.column("payload").to_pylist():
        json.loads(payload)
    assert "the good one" in conversions.column("id").to_pylist()
    assert conversions.num_rows + len(batch.unreadable) <= len(bodies) + 1


def test_the_latest_events_of_a_conversion_take_turns_in_the_order_of_their_changes() -> None:
    events = [{**GOOD, "updated": f"2026-07-{day:02} 00:00:00", "notes": str(day)} for day in (3, 9, 1, 7, 5, 8, 2)]
    table = conversions_table(batch_of(*events, {**GOOD, "id": 2, "updated": None}), Privacy(PersonalData.KEEP, ""))
    rows = sorted(zip(*(table.column(name).to_pylist() for name in ("id", "turn", "notes")), strict=True))
    assert rows == [("1", turn, day) for turn, day in enumerate("35789", start=1)] + [("2", 1, None)]


def test_events_of_one_second_take_turns_as_they_came() -> None:
    table = conversions_table(
        batch_of({**GOOD, "status": "APPROVED"}, {**GOOD, "status": "DENIED"}), Privacy(PersonalData.KEEP, "")
    )
    assert list(zip(table.column("turn").to_pylist(), table.column("status").to_pylist(), strict=True)) == [
        (1, "APPROVED"),
        (2, "DENIED"),
    ]

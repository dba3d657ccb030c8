"""A response read directly into columns gives the same result as parsing it value by value."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from refersion_dagster.refersion.errors import UnreadableValue
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder, ColumnBatch
from refersion_dagster.refersion.tables.catalog import AFFILIATES, CONVERSIONS, Entity, Kind
from refersion_dagster.refersion.tables.coerce import InexactNumber
from refersion_dagster.refersion.tables.json_reader import ArrowJsonReader, convert_to_columns
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy
from refersion_dagster_tests.marks import examples

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["", " ", "\x00", "é", "😀", "null", "TRUE", "Ann+tag@Example.com", "a.nn@gmail.com"]
)
INTEGERS = st.integers(0, 1000) | st.sampled_from([0, -1, 1_700_000_000, 2**63 - 1, -(2**63)])
AMOUNTS = st.sampled_from(["24.00", "24.00", "2,874.85", "-0.5", "7", "0.0001", "1e5", "12,x", "", " 7 ", "0.00001"])
TIMES = st.sampled_from(["1700000000", "1700000000", "2024-05-01 10:00:00", "0", "", "yesterday"])
ODD = st.one_of(
    st.floats(allow_nan=False),
    st.booleans(),
    INTEGERS,
    TEXTS,
    st.sampled_from(["\ud800", 2**63, -(2**63) - 1, [], [1], {}, {"id": 1}]),
)
# The usual JSON types of each kind.
USUAL: dict[Kind, list[st.SearchStrategy[Any]]] = {
    Kind.ID: [INTEGERS, st.sampled_from(["7", "07", " 7", "x"])],
    Kind.TEXT: [TEXTS, TEXTS, INTEGERS, st.booleans()],
    Kind.MONEY: [AMOUNTS, AMOUNTS, INTEGERS],
    Kind.INTEGER: [INTEGERS, st.sampled_from(["7", " 7 ", "x"])],
    Kind.BOOLEAN: [st.booleans(), st.sampled_from(["TRUE", "0"]), st.integers(0, 2)],
    Kind.TIMESTAMP: [TIMES, INTEGERS],
}


def builder(entity: Entity = CONVERSIONS, policy: PersonalData = PersonalData.HASH) -> ArrowTableBuilder:
    return ArrowTableBuilder(entity, read_at=MOMENT, privacy=Privacy(policy, "salt"), extras=["extra_field"])


def body(rows: Any, total: Any = 3, **more: Any) -> bytes:
    answer = {"data": {"conversions": rows, "pageInfo": {"total_results": {"conversions": total}}}, **more}
    return json.dumps(answer).encode()


def row(**values: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "total": "24.00",
        "commission_total": "2.40",
        "currency": "USD",
        "created": "1700000000",
        "customer": {"name": "Ann", "email": "ann@example.com", "browser_ip": "10.0.0.1"},
        "click": None,
        "extra_field": "more",
    } | values


def taught(usual: dict[str, Any], with_builder: ArrowTableBuilder) -> ArrowJsonReader:
    """A reader that has seen one row."""
    pages = ArrowJsonReader(with_builder)
    pages.expect_types(with_builder.select_columns([usual]).values)
    return pages


@st.composite
def two_pages(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    """Rows of two pages whose columns each have one JSON type, except for a few that contain anything."""
    columns = [column for column in builder().given if draw(st.integers(0, 2))]
    odd = draw(st.sampled_from(columns)) if columns and not draw(st.integers(0, 3)) else None
    values = {
        column.path: st.none() | (ODD if column is odd else draw(st.sampled_from(USUAL[column.kind])))
        for column in columns
    }
    spoilt = st.sampled_from([[], "", 0, False, "text"]) if draw(st.integers(0, 9)) == 0 else st.none()

    def row(number: int) -> Any:
        made: dict[str, Any] = {}
        for (first, *rest), value in values.items():
            if rest:
                made.setdefault(first, {})[rest[0]] = draw(value)
            else:
                made[first] = draw(value)
        for name in {path[0] for path in values if len(path) == 2}:
            if draw(st.integers(0, 4)) == 0:
                made[name] = draw(st.just({}) | spoilt)
        return made | {"id": number, "unasked": draw(st.none() | ODD)}

    first, second = ([row(number) for number in range(draw(st.integers(0, 4)))] for _ in range(2))
    return first, second


def outcome(make: Any) -> Any:
    """The table, or the error as text."""
    try:
        return make().to_pydict()
    except (UnreadableValue, InexactNumber) as error:
        return type(error), str(error)


@pytest.mark.exhaustive
@settings(max_examples=examples(300))
@given(two=two_pages(), policy=st.sampled_from(PersonalData))
def test_what_goes_straight_into_columns_is_what_parsing_gives(
    two: tuple[list[Any], list[Any]], policy: PersonalData
) -> None:
    making = builder(policy=policy)
    pages = ArrowJsonReader(making)
    for rows in two:
        page = pages.read(body(rows))
        picked = outcome_of_pick(making, rows)
        if page is None:
            event("left to the parser")
            if isinstance(seen := outcome_of_pick(making, two[0] + two[1]), ColumnBatch):
                pages.expect_types(seen.values)
            continue
        event("straight into columns" if rows else "no rows")
        assert page.ids == [one["id"] for one in rows]
        assert page.total == 3
        assert isinstance(picked, ColumnBatch)
        (columns,) = convert_to_columns([page.rows])
        assert columns.values == picked.values
        assert outcome(lambda columns=columns: making.build([columns])) == outcome(
            lambda picked=picked: making.build([picked])
        )


def outcome_of_pick(making: ArrowTableBuilder, rows: list[Any]) -> ColumnBatch | UnreadableValue:
    try:
        return making.select_columns(rows)
    except UnreadableValue as error:
        return error


class TestTheUsualShape:
    def test_is_read_without_parsing_once_it_was_met(self) -> None:
        making = builder()
        pages = taught(row(), making)
        page = pages.read(body([row(id=5, notes="é😀"), row(id=6, customer=None)], total=2))
        assert page is not None
        assert page.ids == [5, 6]
        assert page.total == 2
        table = making.build(convert_to_columns([page.rows]))
        assert table.column("id").to_pylist() == ["5", "6"]
        assert table.column("notes").to_pylist() == ["é😀", None]
        assert table.column("extra_field").to_pylist() == ["more", "more"]
        assert table.column("customer__name").to_pylist() == [making.privacy.digests(["Ann"])[0], None]

    def test_may_leave_the_total_out(self) -> None:
        page = taught(row(), builder()).read(orjson.dumps({"data": {"conversions": [row()]}}))
        assert page is not None
        assert page.total is None

    def test_pages_join_parsed_ones_in_order(self) -> None:
        making = builder()
        page = taught(row(), making).read(body([row(id=1), row(id=2)]))
        assert page is not None
        parsed = making.select_columns([row(id="3", order_id=9)])
        table = making.build(convert_to_columns([page.rows[1:], parsed, page.rows]))
        assert table.column("id").to_pylist() == ["2", "3", "1", "2"]

    def test_a_field_that_changes_its_type_is_met_with_the_new_one(self) -> None:
        making = builder()
        pages = taught(row(), making)
        assert pages.read(body([row(order_id=7)])) is None
        pages.expect_types(making.select_columns([row(order_id=7)]).values)
        assert pages.read(body([row(order_id=8)])) is not None
        assert pages.read(body([row(order_id=None)])) is not None


@pytest.mark.parametrize(
    "content",
    [
        body([row()], errors=[{"message": "half of it"}]),
        body([row()], errors=False),
        body([row(), None]),
        body([row(id=None)]),
        body([row(id=1.0)]),
        body([row(id=2**63)]),
        body([row(total=24.5)]),
        body([row(customer=[])]),
        body([row(customer="Ann")]),
        body([row(notes="\ud800")]),
        body([row(notes={"text": "x"})]),
        body([row(total_items=1.5)]),
        body([row(is_recurring=1)]),
        body([row()], total="3"),
        body([row()], total=-1),
        body(None),
        body({"id": 1}),
        body([row()])[:-1],
        body([row()]) + b"}",
        body([row()]) + body([row()]),
        body([row()]).replace(b'"USD"', b'"\xff"'),
        body([row(notes="x")]).replace(b'"notes"', b'"currency"'),
        b'{"data": null}',
        b"[]",
        b"",
        b" \n",
        b"<html>",
    ],
)
def test_any_other_shape_is_left_to_the_parser(content: bytes) -> None:
    assert taught(row(), builder()).read(content) is None


def test_lists_of_custom_fields_are_left_to_the_parser() -> None:
    pages = ArrowJsonReader(ArrowTableBuilder(AFFILIATES, read_at=MOMENT, privacy=Privacy(PersonalData.KEEP, "")))
    assert pages.read(b'{"data": {"affiliates": []}}') is None


def test_trying_ends_where_nearly_every_page_is_mixed() -> None:
    making = builder()
    pages = taught(row(), making)
    for _ in range(50):
        assert pages.read(body([row(order_id=1), row(order_id="2")])) is None
    assert pages.read(body([row()])) is None


@pytest.mark.processes
def test_usual_rows_become_a_table_without_pandas_which_pyarrow_would_import_for_a_fifth_of_a_second() -> None:
    # Nothing is hashed here, because hashes are built from a list, for which pyarrow imports pandas.
    program = f"""
import sys
from datetime import UTC, datetime
from refersion_dagster.refersion.tables.catalog import CONVERSIONS
from refersion_dagster.refersion.tables.json_reader import ArrowJsonReader, convert_to_columns
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder

builder = ArrowTableBuilder(CONVERSIONS, read_at=datetime.now(UTC), privacy=Privacy(PersonalData.KEEP, "salt"))
page = ArrowJsonReader(builder, {{"id": "Int"}}).read({body([row()])!r})
print(builder.build(convert_to_columns([page.rows])).num_rows, "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"

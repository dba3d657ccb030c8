"""Values in every shape that Refersion sends are read exactly. An unreadable value is an error, never a guess."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refersion_dagster.refersion.errors import UnreadableValue
from refersion_dagster.refersion.tables.catalog import Column, Kind
from refersion_dagster.refersion.tables.coerce import ARROW_TYPES, InexactNumber, raw_array, read_chunks, read_column
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.marks import examples, limit_cases
from refersion_dagster_tests.refersion.plain_dlt import NOW, Warehouse, read


def column(kind: Kind, *, required: bool = False, personal: bool = False) -> Column:
    return Column("field", kind, "A column of a test.", required=required, personal=personal)


def read_values(values: Sequence[Any], kind: Kind, **options: bool) -> list[Any]:
    array = read_column(values, column(kind, **options), "conversions", lambda i: f"number {i}")
    assert array.type == ARROW_TYPES[kind]
    return array.to_pylist()


def read_value(value: Any, kind: Kind) -> Any:
    """Reads a value, which must give the same result alone, among others, and in the slow path value by value."""
    (alone,) = read_values([value], kind)
    assert read_values([None, value, value], kind) == [None, alone, alone]
    return alone


AT = datetime(2018, 5, 18, 20, 14, 18, tzinfo=UTC)
READABLE: list[tuple[Kind, Any, Any]] = [
    (Kind.ID, 37567438, "37567438"),
    (Kind.ID, "37567438", "37567438"),
    (Kind.ID, "a3y7", "a3y7"),
    (Kind.ID, " 694c ", "694c"),
    (Kind.ID, "", None),
    (Kind.ID, "0012", "0012"),
    (Kind.ID, 2**63, str(2**63)),
    (Kind.ID, 10**30, "1" + "0" * 30),
    (Kind.ID, str(10**40), str(10**40)),
    (Kind.MONEY, "24.00", Decimal("24")),
    (Kind.MONEY, 24, Decimal("24")),
    (Kind.MONEY, 24.5, Decimal("24.5")),
    (Kind.MONEY, 0.1, Decimal("0.1")),
    (Kind.MONEY, Decimal("500.84"), Decimal("500.84")),
    (Kind.MONEY, "2,874.85", Decimal("2874.85")),
    (Kind.MONEY, "12,345,678.90", Decimal("12345678.90")),
    (Kind.MONEY, "10,", Decimal("10")),
    (Kind.MONEY, "500.84,", Decimal("500.84")),
    (Kind.MONEY, "3,498.03,", Decimal("3498.03")),
    (Kind.MONEY, "-9.40", Decimal("-9.40")),
    (Kind.MONEY, "-2,874.85", Decimal("-2874.85")),
    (Kind.MONEY, "0.00", Decimal("0")),
    (Kind.MONEY, " 24.00 ", Decimal("24")),
    (Kind.MONEY, "4.8000", Decimal("4.8")),
    (Kind.MONEY, "4.80000", Decimal("4.8")),
    (Kind.MONEY, "99999999999999.9999", Decimal("99999999999999.9999")),
    (Kind.BOOLEAN, True, True),
    (Kind.BOOLEAN, False, False),
    (Kind.BOOLEAN, "TRUE", True),
    (Kind.BOOLEAN, "FALSE", False),
    (Kind.BOOLEAN, "true", True),
    (Kind.BOOLEAN, 0, False),
    (Kind.BOOLEAN, 1, True),
    (Kind.BOOLEAN, "1", True),
    (Kind.BOOLEAN, "0", False),
    (Kind.BOOLEAN, "", None),
    (Kind.INTEGER, 6, 6),
    (Kind.INTEGER, "1", 1),
    (Kind.INTEGER, "-3", -3),
    (Kind.INTEGER, 6.0, 6),
    (Kind.INTEGER, "", None),
    (Kind.INTEGER, 2**63 - 1, 2**63 - 1),
    (Kind.TIMESTAMP, 1526674458, AT),
    (Kind.TIMESTAMP, "1526674458", AT),
    (Kind.TIMESTAMP, 1526674458.25, AT + timedelta(microseconds=250_000)),
    (Kind.TIMESTAMP, "2018-05-18 20:14:18", AT),
    (Kind.TIMESTAMP, "2018-05-18T20:14:18Z", AT),
    (Kind.TIMESTAMP, "2018-05-18T22:14:18+02:00", AT),
    (Kind.TIMESTAMP, "2018-05-18 20:14:18.250000", AT + timedelta(microseconds=250_000)),
    (Kind.TIMESTAMP, "2018-05-18", AT.replace(hour=0, minute=0, second=0)),
    (Kind.TIMESTAMP, "", None),
    (Kind.TIMESTAMP, "0", None),
    (Kind.TIMESTAMP, 0, None),
    (Kind.TIMESTAMP, "0000-00-00 00:00:00", None),
    (Kind.TEXT, 'O\'Neil, "Kim" <script>', 'O\'Neil, "Kim" <script>'),
    (Kind.TEXT, "=1+1", "=1+1"),
    (Kind.TEXT, "", ""),
    (Kind.TEXT, "  spaced  ", "  spaced  "),
    (Kind.TEXT, "Zoë 🦊 王", "Zoë 🦊 王"),
    (Kind.TEXT, 42, "42"),
    (Kind.TEXT, 1.5, "1.5"),
    (Kind.TEXT, True, "true"),
    (Kind.TEXT, ["a", 1], '["a",1]'),
    (Kind.TEXT, "nul\x00l", "nul\ufffdl"),
    (Kind.TEXT, "lone \ud83d surrogate", "lone \ufffd surrogate"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), READABLE, ids=lambda value: ascii(value)[:40])
def test_a_value_in_a_known_shape_is_read(kind: Kind, value: Any, expected: Any) -> None:
    found = read_value(value, kind)
    assert found == expected
    assert type(found) is type(expected)


UNREADABLE: list[tuple[Kind, Any]] = [
    *((Kind.ID, value) for value in (True, [1], {"id": 1})),
    *(
        (Kind.MONEY, value)
        for value in (
            "12,x",
            "1.234,56",
            "12,34",
            "1,2345.00",
            "",
            "-",
            ".",
            "$5",
            "5 USD",
            "1e3",
            "NaN",
            "Infinity",
            "0x10",
            "١٢",
            "1" + "0" * 14,
            "123456789012345",
            "0.00001",
            "4.80005",
            True,
            [],
            {},
            10**14,
            Decimal("1e400"),
            Decimal("NaN"),
            Decimal("0.00001"),
        )
    ),
    *((Kind.INTEGER, value) for value in ("one", "1.5", 1.5, 2**63, -(2**63) - 1, True, [], "1,000", math.inf)),
    *((Kind.BOOLEAN, value) for value in ("yes", "maybe", 2, -1, [], {}, "TRUEE", 0.5)),
    *(
        (Kind.TIMESTAMP, value)
        for value in (
            "yesterday",
            "18/05/2018",
            "2018-13-01 00:00:00",
            "2018-02-30",
            "2018-05-18 25:00:00",
            "1989-12-31 23:59:59",
            "2200-01-01 00:00:00",
            "2300-06-15",
            631_151_999,
            7_258_118_400,
            1526674458000,
            "1526674458000",
            5,
            -1526674458,
            True,
            [],
            math.nan,
            math.inf,
        )
    ),
    *((Kind.CUSTOM_FIELDS, value) for value in ("text", 5, [1], [["a", "b"]], True)),
]


@pytest.mark.parametrize(("kind", "value"), UNREADABLE, ids=lambda value: ascii(value)[:40])
def test_a_value_in_no_known_shape_is_an_error_that_names_table_field_row_and_value(kind: Kind, value: Any) -> None:
    for before in ([], [None], [None, None]):
        with pytest.raises(UnreadableValue) as caught:
            read_values([*before, value], kind)
        error = caught.value
        assert (error.table, error.field, error.row, error.value) == (
            "conversions",
            "field",
            f"number {len(before)}",
            value,
        )
        assert str(error).startswith(f"conversions.field of row number {len(before)} is {value!r}"[:100])
        assert "None of this table was loaded" in str(error)


def test_a_broken_value_among_many_good_ones_is_found() -> None:
    values = ["24.00"] * 199
    with pytest.raises(UnreadableValue, match="field of row number 150 is '12,x'"):
        read_values([*values[:150], "12,x", *values[150:]], Kind.MONEY)


def test_a_long_value_is_shown_short() -> None:
    with pytest.raises(UnreadableValue) as caught:
        read_values(["9" * 1_000_000], Kind.MONEY)
    assert len(str(caught.value)) < 500


def test_a_personal_value_is_not_shown() -> None:
    with pytest.raises(UnreadableValue) as caught:
        read_values(["kim@example.com"], Kind.MONEY, personal=True)
    assert "kim@example.com" not in str(caught.value)
    assert "<a personal value>" in str(caught.value)


@pytest.mark.parametrize("missing", [None, ""])
def test_a_required_value_that_is_missing_is_an_error(missing: Any) -> None:
    with pytest.raises(UnreadableValue, match=r"row number 1 .* must not be empty"):
        read_values([1, missing], Kind.ID, required=True)


@pytest.mark.parametrize("kind", Kind)
def test_nothing_but_nulls_is_a_column_of_nulls(kind: Kind) -> None:
    assert read_values([None, None], kind) == [None, None]
    assert read_values([], kind) == []


class TestCustomFields:
    @pytest.mark.parametrize(
        "sent",
        [
            [{"id": "7", "label": "Site", "value": "https://a.example"}],
            [["7", "Site", "https://a.example"]],
            [{"id": "7", "name": "Site", "value": "https://a.example"}],
            {"0": {"id": "7", "label": "Site", "value": "https://a.example"}},
        ],
        ids=["rest", "graphql", "webhook", "php array"],
    )
    def test_every_shape_becomes_the_same(self, sent: Any) -> None:
        (found,) = read_values([sent], Kind.CUSTOM_FIELDS)
        assert json.loads(found) == [{"id": "7", "label": "Site", "value": "https://a.example"}]

    @pytest.mark.parametrize("sent", [[], {}, ""])
    def test_none_at_all_is_an_empty_list(self, sent: Any) -> None:
        assert read_values([sent], Kind.CUSTOM_FIELDS) == ["[]"]

    def test_what_rest_leaves_out_is_left_out(self) -> None:
        (found,) = read_values([[{"label": "Site", "value": ""}]], Kind.CUSTOM_FIELDS)
        assert json.loads(found) == [{"label": "Site", "value": ""}]

    @given(st.lists(st.tuples(st.text(), st.text(), st.text())))
    def test_any_text_comes_back(self, fields: list[tuple[str, str, str]]) -> None:
        (found,) = read_values([[list(one) for one in fields]], Kind.CUSTOM_FIELDS)
        expected = [
            {name: part.replace("\x00", "\ufffd") for name, part in zip(("id", "label", "value"), one, strict=True)}
            for one in fields
        ]
        assert [
            {name: part.replace("\x00", "\ufffd") for name, part in one.items()} for one in json.loads(found)
        ] == expected


AMOUNTS = st.integers(-(10**18) + 1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-4))
SPELLINGS = {
    "plain": str,
    "fixed": "{:f}".format,
    "separators": "{:,}".format,
    "stray comma": "{:,},".format,
    "spaced": " {:f} ".format,
    "exact number": lambda amount: amount,
}


class TestMoney:
    @given(amount=AMOUNTS, spelling=st.sampled_from(sorted(SPELLINGS)))
    @settings(max_examples=examples(300))
    def test_every_amount_comes_back_exactly_in_every_spelling(self, amount: Decimal, spelling: str) -> None:
        spelt = SPELLINGS[spelling](amount.quantize(Decimal("0.0001")))
        assert read_value(spelt, Kind.MONEY) == amount

    @given(amount=AMOUNTS)
    @example(amount=Decimal("99999999999.9999"))
    @example(amount=Decimal("100000000000"))
    @settings(max_examples=examples(300))
    def test_a_json_number_is_read_exactly_or_asked_for_again(self, amount: Decimal) -> None:
        """Binary floating point holds 15 digits exactly. A longer number requires an exact parser."""
        parsed = json.loads(f"{amount:f}")
        try:
            assert read_value(parsed, Kind.MONEY) == amount
        except InexactNumber:
            digits = f"{abs(amount):f}".replace(".", "").lstrip("0")
            assert len(digits) > 15 or abs(amount) >= 10**11
            assert read_value(json.loads(f"{amount:f}", parse_float=Decimal), Kind.MONEY) == amount

    @given(st.lists(AMOUNTS, min_size=1, max_size=50))
    def test_sums_are_exact(self, amounts: list[Decimal]) -> None:
        found = read_values([str(amount) for amount in amounts], Kind.MONEY)
        assert sum(found) == sum(amounts)
        assert {type(amount) for amount in found} == {Decimal}


@given(st.one_of(st.integers(), st.integers(2**53, 2**80), st.integers(10**30, 10**40)))
def test_an_id_of_any_size_comes_back(number: int) -> None:
    assert read_value(number, Kind.ID) == str(number)
    assert read_value(str(number), Kind.ID) == str(number)


@given(st.floats(allow_nan=False))
def test_an_id_that_was_parsed_as_a_float_is_asked_for_again(number: float) -> None:
    with pytest.raises(InexactNumber):
        read_values([number], Kind.ID)


@given(st.integers(631_152_000, 7_258_118_399))
def test_a_moment_is_the_same_in_every_shape(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    for shape in (seconds, str(seconds), f"{moment:%Y-%m-%d %H:%M:%S}", moment.isoformat(), float(seconds)):
        assert read_value(shape, Kind.TIMESTAMP) == moment


SHAPES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.ID: st.one_of(st.none(), st.integers(), st.text(), st.from_regex(r"[a-z0-9]{4}", fullmatch=True)),
    Kind.TEXT: st.one_of(st.none(), st.text(st.characters()), st.integers(), st.booleans()),
    Kind.MONEY: st.one_of(
        st.none(),
        AMOUNTS.map(str),
        AMOUNTS.map("{:,}".format),
        st.integers(-(10**13), 10**13),
        st.sampled_from(["12,x", "", "10,", "9" * 15, "1.00000", "-", "-0.00"]),
    ),
    Kind.INTEGER: st.one_of(st.none(), st.integers(), st.integers().map(str), st.just("")),
    Kind.BOOLEAN: st.one_of(st.none(), st.booleans(), st.sampled_from(["TRUE", "FALSE", "", 0, 1, "no"])),
    Kind.TIMESTAMP: st.one_of(
        st.none(),
        st.integers(0, 2 * 10**10),
        st.integers(0, 2 * 10**10).map(str),
        st.datetimes().map(lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}"),
    ),
}


@given(data=st.data(), kind=st.sampled_from(sorted(SHAPES)), cut=st.integers(0, 8))
@settings(max_examples=examples(400))
def test_a_column_read_whole_is_the_same_as_value_by_value(data: st.DataObject, kind: Kind, cut: int) -> None:
    """Arrow converts columns of one shape. One odd value must not change how the others are read."""
    one_shape = data.draw(st.booleans())
    strategy = SHAPES[kind]
    if one_shape:
        shape = data.draw(strategy.map(type))
        strategy = strategy.filter(lambda value: value is None or type(value) is shape)
    values = data.draw(st.lists(strategy, max_size=8))

    def outcome(*chunks: Sequence[Any]) -> list[Any] | tuple[str, Any]:
        try:
            parts = [raw_array(chunk) for chunk in chunks]
            return read_chunks(parts, column(kind), "conversions", str).to_pylist()
        except UnreadableValue as error:
            return error.row, error.value

    one_by_one: list[Any] | tuple[str, Any] = []
    for i, value in enumerate(values):
        found = outcome([value])
        if isinstance(found, tuple):
            one_by_one = (str(i), found[1])
            break
        one_by_one += found
    assert outcome(values) == one_by_one
    assert outcome(values[:cut], values[cut:]) == one_by_one


class TestThroughTheApi:
    """Values after JSON encoding and parsing."""

    @pytest.mark.parametrize("id_", limit_cases([2**53 + 1, 2**63, 2**64 + 1, 10**30, "a-b/c", str(10**25)], 2))
    def test_an_id_of_any_size(self, sandbox: SandboxServer, warehouse: Warehouse, id_: Any) -> None:
        sandbox.insert_conversion(id=id_, created=int(NOW.timestamp()) - 60)
        warehouse.load(sandbox, "conversions", read_from="2025-06-30")
        assert str(id_) in {row[0] for row in warehouse.rows("conversions", "id")}

    def test_two_ids_that_are_one_as_floating_point(self, sandbox: SandboxServer) -> None:
        both = [2**70, 2**70 + 1]
        for id_ in both:
            sandbox.insert_conversion(id=id_, created=int(NOW.timestamp()) - 60)
        found = read(sandbox, "conversions", read_from="2025-06-30").column("id").to_pylist()
        assert set(map(str, both)) <= set(found)

    @pytest.mark.parametrize("field", ["affiliate_id", "order_id", "payment_id"])
    def test_other_ids_beyond_64_bits(self, sandbox: SandboxServer, field: str) -> None:
        sandbox.insert_conversion(id=77, created=int(NOW.timestamp()) - 60)
        sandbox.account.conversions[77].raw = {field: 2**64 + 1}
        sandbox.account.record_change()
        found = read(sandbox, "conversions", read_from="2025-06-30").to_pylist()
        assert [row[field] for row in found if row["id"] == "77"] == [str(2**64 + 1)]

    @pytest.mark.parametrize(
        "amount", ["1234567890123.4567", "99999999999999.9999", "0.1", "-0.0001", "12345678901234.5"]
    )
    def test_an_amount_as_a_json_number_of_any_length(self, sandbox: SandboxServer, amount: str) -> None:
        sandbox.insert_conversion(id=77, created=int(NOW.timestamp()) - 60)
        sandbox.account.conversions[77].raw = {"total": Decimal(amount)}
        sandbox.account.record_change()
        found = read(sandbox, "conversions", read_from="2025-06-30").to_pylist()
        assert [row["total"] for row in found if row["id"] == "77"] == [Decimal(amount)]

    @pytest.mark.parametrize(
        "text",
        limit_cases(
            ["nul\x00l", "🦊 Zoë 王", "lone \ud83d", "x" * 1_000_000, "=cmd|' /C calc'!A0", "<script>", "\u202e"], 2
        ),
        ids=lambda text: ascii(text)[:20],
    )
    def test_a_text_of_any_kind_lands(self, sandbox: SandboxServer, warehouse: Warehouse, text: str) -> None:
        sandbox.insert_conversion(id=77, notes=text, created=int(NOW.timestamp()) - 60)
        warehouse.load(sandbox, "conversions", read_from="2025-06-30")
        landed = dict(warehouse.rows("conversions", "id", "notes"))
        assert landed["77"] == text.replace("\x00", "\ufffd").replace("\ud83d", "\ufffd")

    @pytest.mark.parametrize(
        ("field", "value"),
        limit_cases(
            [
                ("total", "12,x"),
                ("commission_total", "1.234,56"),
                ("total", "123456789012345.00"),
                ("total", "4.00005"),
                ("created", "yesterday"),
                ("is_recurring", "perhaps"),
                ("total_items", "few"),
            ],
            2,
        ),
    )
    def test_a_page_of_200_rows_with_one_broken_value_loads_nothing_and_names_it(
        self, sandbox: SandboxServer, warehouse: Warehouse, field: str, value: str
    ) -> None:
        for second in range(200):
            sandbox.insert_conversion(created=int(NOW.timestamp()) - 600 + second)
        broken = sandbox.insert_conversion(**{"created": int(NOW.timestamp()) - 500, field: value})
        warehouse.load(sandbox, "offers")
        with pytest.raises(UnreadableValue, match=f"conversions.{field} of row {broken} is '{value}'"):
            warehouse.load(sandbox, "conversions")
        assert set(warehouse.counts()) == {"offers"}

    @pytest.mark.parametrize("value", [None, "", [1], {"a": 1}, True, 1.5])
    def test_a_row_whose_id_is_none_is_named_by_its_place(self, sandbox: SandboxServer, value: Any) -> None:
        number = sandbox.insert_conversion(created=int(NOW.timestamp()) - 60)
        sandbox.account.conversions[number].raw = {"id": value}
        sandbox.account.record_change()
        named = "1.5" if value == 1.5 else "number 1 of "
        with pytest.raises(UnreadableValue, match=f"conversions.id of row {named}"):
            read(sandbox, "conversions", read_from="2025-06-30T23:59:00")

    def test_a_status_never_seen_before_is_kept(self, sandbox: SandboxServer) -> None:
        number = sandbox.insert_conversion(status="ESCALATED", created=int(NOW.timestamp()) - 60)
        found = read(sandbox, "conversions", read_from="2025-06-30").to_pylist()
        assert {row["id"]: row["status"] for row in found}[str(number)] == "ESCALATED"


def test_arrow_types_hold_money_and_time_exactly() -> None:
    assert ARROW_TYPES[Kind.MONEY] == pa.decimal128(18, 4)
    assert ARROW_TYPES[Kind.TIMESTAMP] == pa.timestamp("us", "UTC")

"""One interface, the same in every database: queries, values, transactions, tables built and swapped."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.session import Session, UndefinedTable
from refersion_dagster.warehouse.sql import UnknownParameter, parse

# Texts that could be mistaken for SQL or a placeholder, or be changed on the way; and many scripts.
TEXTS = (
    *("", "'", "''; DROP TABLE x; --", '"quoted"', "back\\slash \\n", "two\nlines\r\n\ttab", "100 % ? :a $b %s %(c)s"),
    *("Ærøskøbing", "дом", "株式会社", "👩\u200d👩\u200d👧", "e\u0301", "\ufffd", "\u202eabc", "long " * 200_000),
)
VALUES = (
    *(0, -7, 2**62, True, False, None, date(2024, 2, 29)),
    datetime(2025, 3, 30, 1, 59, 59, 999_999),  # noqa: DTZ001 - some columns are in the reporting time zone
    datetime(2025, 3, 30, 1, 0, tzinfo=UTC),
)


def swap(session: Session, select: str, table: str = "numbers") -> None:
    session.swap_in("made", table, session.build_beside("made", table, session.translated(parse(select))))


class TestValues:
    def test_texts_come_back_as_they_were_given(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            for text in TEXTS:
                assert session.query("SELECT $text, $text = $other", text=text, other=text) == [(text, True)]

    def test_values_come_back_as_they_were_given(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            for value in VALUES:
                ((found,),) = session.query("SELECT $value AS value", value=value)
                assert found == value
                assert type(found) is type(value)

    def test_amounts_are_exact_decimals(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            for amount in map(Decimal, ("0", "12.3400", "-0.0001", "12345678901234.5678", "1E+3")):
                ((found,),) = session.query("SELECT CAST($amount AS DECIMAL(18, 4))", amount=amount)
                assert isinstance(found, Decimal)
                assert found == amount
                assert found.as_tuple().exponent == -4

    def test_times_come_in_utc_wherever_they_were_written(self, warehouse: Warehouse) -> None:
        tokyo = datetime(2025, 1, 1, 8, 30, tzinfo=timezone(timedelta(hours=9)))
        ((found, day, text),) = warehouse.query(
            "SELECT $moment AS moment, CAST($moment AS DATE) AS day, CAST($moment AT TIME ZONE 'Asia/Tokyo' AS TEXT)",
            moment=tokyo,
        )
        assert found == tokyo
        assert found.utcoffset() == timedelta(0)
        assert day == date(2024, 12, 31)
        assert text == "2025-01-01 08:30:00"

    def test_capitals_are_those_of_every_script(self, warehouse: Warehouse) -> None:
        letters = "".join(map(chr, [*range(0x20, 0x19B), *range(0x370, 0x590), *range(0x10A0, 0x1100), 0x1E9E]))
        ((upper, lower),) = warehouse.query("SELECT upper($letters), lower($letters)", letters=letters)
        # Letter by letter, as in DuckDB: "ß" has one upper-case letter, and "İ" one lower-case letter.
        assert upper == "".join("ẞ" if one == "ß" else one.upper() if len(one.upper()) == 1 else one for one in letters)
        assert lower == "".join(one.lower()[0] for one in letters)

    def test_texts_are_in_the_order_of_their_code_points(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            session.create_schema("made")
            session.query("CREATE TABLE made.given (word text NOT NULL)")
            for word in ("ä", "a", "B", "b", "A", "Z", "10", "9", "a b", "a-b", "ab", "_"):
                session.query("INSERT INTO made.given VALUES ($word)", word=word)
            swap(session, "SELECT word, concat(lower(word), word) AS doubled FROM made.given", "words")
            for column in ("word", "doubled"):
                found = [row[0] for row in session.query(f"SELECT {column} FROM made.words ORDER BY {column}")]
                assert found == sorted(found)
            assert session.query("SELECT min(word), max(word) FROM made.words") == [("10", "ä")]

    def test_a_parameter_without_a_value_is_named(self, warehouse: Warehouse) -> None:
        with pytest.raises(UnknownParameter, match=r"\$amount.*available are day"):
            warehouse.query("SELECT $amount", day=1)


class TestReading:
    def test_columns_have_the_same_types_in_every_database(self, warehouse: Warehouse) -> None:
        select = """
        SELECT 'a' AS word, CAST('b' AS VARCHAR) AS text, CAST(1 AS BIGINT) AS big, CAST(1 AS INTEGER) AS whole,
          CAST(1 AS DECIMAL(18, 4)) AS money, CAST(1 AS DECIMAL(38, 12)) AS wide, CAST(1 AS DOUBLE) AS rough,
          TRUE AS yes, CAST('2025-01-01' AS DATE) AS day, CAST('2025-01-01 00:00:00+00' AS TIMESTAMPTZ) AS moment,
          CAST('2025-01-01 00:00:00' AS TIMESTAMP) AS local, count(*) AS rows
        """
        with warehouse.session() as session:
            swap(session, select)
            assert session.columns("made", "numbers") == [
                ("word", "varchar"),
                ("text", "varchar"),
                ("big", "bigint"),
                ("whole", "integer"),
                ("money", "decimal(18,4)"),
                ("wide", "decimal(38,12)"),
                ("rough", "double"),
                ("yes", "boolean"),
                ("day", "date"),
                ("moment", "timestamp with time zone"),
                ("local", "timestamp"),
                ("rows", "bigint"),
            ]

    def test_a_table_that_is_not_there_has_no_columns_and_cannot_be_read(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            assert session.columns("made", "nothing") == []
            for sql in ("SELECT * FROM made.nothing", "SELECT * FROM nothing"):
                with pytest.raises(UndefinedTable):
                    session.query(sql)
            assert session.query("SELECT 1") == [(1,)]

    def test_counts_leave_out_tables_that_are_not_there(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            session.create_schema("refersion_data")
            session.query("CREATE TABLE refersion_data.offers AS SELECT 1 AS id")
        assert warehouse.row_counts(["offers", "payments"]) == {"offers": 1}


class TestArrow:
    SELECT = """
    SELECT CAST(n AS BIGINT) AS big, CAST(n AS INTEGER) AS whole,
      CAST(CAST(n AS DECIMAL(18, 4)) / 4 AS DECIMAL(18, 6)) AS quarter,
      CAST(CASE WHEN n > 2 THEN n END AS DECIMAL(38, 12)) AS wide, CAST(n AS TEXT) AS word, n > 2 AS more,
      CAST('2025-03-30 01:30:00.123456+00' AS TIMESTAMPTZ) AS moment, CAST('2025-03-30' AS DATE) AS day,
      CAST('2025-03-30 01:30:00' AS TIMESTAMP) AS local
    FROM (VALUES (1), (2), (3), (4), (5)) AS given (n)
    """

    def test_rows_come_so_many_at_a_time_with_their_types(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            swap(session, self.SELECT)
            ordered = "SELECT * FROM made.numbers ORDER BY big"
            chunks = list(session.arrow(ordered, 2))
            assert [chunk.num_rows for chunk in chunks] == [2, 2, 1]
            assert len({chunk.schema for chunk in chunks}) == 1
            found = [tuple(row.values()) for chunk in chunks for row in chunk.to_pylist()]
            assert found == session.query(ordered)
            types = dict(zip(chunks[0].schema.names, chunks[0].schema.types, strict=True))
            assert (types["big"], types["wide"], types["more"]) == (pa.int64(), pa.decimal128(38, 12), pa.bool_())

    def test_no_rows_are_no_tables_or_empty_ones(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            swap(session, "SELECT 1 AS number WHERE FALSE")
            assert sum(chunk.num_rows for chunk in session.arrow("SELECT * FROM made.numbers", 2)) == 0


class TestTransactions:
    def test_all_or_nothing(self, warehouse: Warehouse) -> None:
        def do(session: Session, *statements: str) -> None:
            with session.transaction():
                for statement in statements:
                    session.query(statement)

        with warehouse.session() as session:
            swap(session, "SELECT 1 AS number")
            with pytest.raises(DatabaseException):
                do(
                    session,
                    "INSERT INTO made.numbers VALUES (2)",
                    "CREATE TABLE made.others (number integer)",
                    "INSERT INTO made.numbers VALUES ('three')",
                )
            assert session.query("SELECT number FROM made.numbers") == [(1,)]
            assert session.columns("made", "others") == []
            do(session, "INSERT INTO made.numbers VALUES (4)")
            assert session.count("made", "numbers") == 2

    def test_what_is_inside_is_seen_by_others_at_its_end(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session, warehouse.session() as other:
            swap(session, "SELECT 1 AS number")
            with session.transaction():
                session.query("INSERT INTO made.numbers VALUES (2)")
                assert other.count("made", "numbers") == 1
            assert other.count("made", "numbers") == 2


class TestTables:
    def test_a_first_table_makes_its_schema(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            swap(session, "SELECT * FROM (VALUES (1), (2)) AS given (number)")
            assert session.query("SELECT number FROM made.numbers ORDER BY number") == [(1,), (2,)]

    def test_the_old_table_is_there_until_the_new_one_takes_its_place(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            swap(session, "SELECT 1 AS number")
            fresh = session.build_beside("made", "numbers", session.translated(parse("SELECT 2 AS number")))
            assert session.query("SELECT number FROM made.numbers") == [(1,)]
            session.swap_in("made", "numbers", fresh)
            assert session.query("SELECT number FROM made.numbers") == [(2,)]

    @pytest.mark.parametrize("select", ["SELECT 2 AS number", "SELECT 'two' AS word WHERE FALSE"])
    def test_nothing_else_is_left_behind(self, warehouse: Warehouse, select: str) -> None:
        with warehouse.session() as session:
            for one in ("SELECT 1 AS number", select, select):
                swap(session, one)
            assert session.tables("made") == ["numbers"]

    @pytest.mark.parametrize(
        "select",
        ["SELECT 1 / CAST('none' AS INTEGER) AS number", "SELECT number FROM made.nowhere"],
    )
    def test_a_select_that_fails_leaves_the_table_as_it_was(self, warehouse: Warehouse, select: str) -> None:
        with warehouse.session() as session:
            swap(session, "SELECT 1 AS number")
            with pytest.raises(DatabaseException):
                session.build_beside("made", "numbers", session.translated(parse(select)))
            assert session.query("SELECT number FROM made.numbers") == [(1,)]
            swap(session, "SELECT 2 AS number")
            assert session.query("SELECT number FROM made.numbers") == [(2,)]

    def test_what_a_run_that_died_left_beside_is_in_nobodys_way(self, warehouse: Warehouse) -> None:
        with warehouse.session() as session:
            session.build_beside("made", "numbers", session.translated(parse("SELECT 1 AS other")))
            swap(session, "SELECT 2 AS number")
            assert session.query("SELECT number FROM made.numbers") == [(2,)]

    def test_a_swap_that_fails_leaves_everything_as_it_was(self, warehouse: Warehouse) -> None:
        """A view has the table's name. Nothing may be written through it into the underlying table."""
        with warehouse.session() as session:
            swap(session, "SELECT 1 AS number", "kept")
            session.query("CREATE VIEW made.numbers AS SELECT * FROM made.kept")
            with pytest.raises(DatabaseException):
                swap(session, "SELECT 2 AS number")
            assert session.query("SELECT number FROM made.numbers") == [(1,)]
            assert session.query("SELECT number FROM made.kept") == [(1,)]


class TestComments:
    IN_DUCKDB = "SELECT comment FROM duckdb_columns() WHERE table_name = 'numbers'"
    FIND = {  # noqa: RUF012
        "duckdb": IN_DUCKDB,
        "ducklake": IN_DUCKDB,
        "postgres": "SELECT col_description('made.numbers'::regclass, 1)",
    }

    def test_descriptions_are_stored_beside_the_table_and_survive_a_swap(self, warehouse: Warehouse) -> None:
        find = self.FIND[warehouse.destination]
        for text in ("It's a number", "It's  another\n"):
            with warehouse.session() as session:
                swap(session, "SELECT 1 AS a")
                for _ in range(2):
                    session.comment("made", "numbers", "Numbers.", {"a": text, "not there": "x"})
                swap(session, "SELECT 2 AS a")
                session.comment("made", "numbers", "Numbers.", {"a": text})
                assert session.native(find) == [(" ".join(text.split()),)]

"""What others built on tables in PostgreSQL survives a rebuild: grants, views, indexes, readers."""

from __future__ import annotations

import psycopg2
import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.errors import TableInUse, WarehouseFull
from refersion_dagster.warehouse.session import Session
from refersion_dagster.warehouse.sql import parse
from refersion_dagster_tests.postgres import ADMIN, PostgresDatabase

ONE, TWO = "SELECT 1 AS number", "SELECT 2 AS number"
WITH_WORD = "SELECT 3 AS number, 'three' AS word"


@pytest.fixture
def warehouse(postgres: PostgresDatabase) -> Warehouse:
    """A warehouse with a table made.numbers."""
    warehouse = Warehouse(destination="postgres")
    build(warehouse, ONE)
    return warehouse


@pytest.fixture
def reader(warehouse: Warehouse, postgres: PostgresDatabase) -> str:
    """A role that may read, and grant that right."""
    role = f"reader of {postgres.name}"
    postgres.query(f'CREATE ROLE "{role}"', user=ADMIN)
    postgres.query(f'GRANT SELECT ON made.numbers TO "{role}" WITH GRANT OPTION')
    postgres.query("GRANT SELECT, UPDATE ON made.numbers TO PUBLIC")
    return role


def build(warehouse: Warehouse, select: str) -> None:
    with warehouse.session() as session:
        swap(session, select)


def swap(session: Session, select: str) -> None:
    session.swap_in("made", "numbers", session.build_beside("made", "numbers", session.translated(parse(select))))


def grants(postgres: PostgresDatabase) -> set[tuple[str, str, str]]:
    return set(
        postgres.query(
            "SELECT grantee, privilege_type, is_grantable FROM information_schema.role_table_grants "
            "WHERE table_name = 'numbers' AND grantee <> grantor"
        )
    )


@pytest.mark.parametrize("select", [TWO, WITH_WORD], ids=["same columns", "other columns"])
def test_grants_stay(warehouse: Warehouse, postgres: PostgresDatabase, reader: str, select: str) -> None:
    before = grants(postgres)
    assert before == {(reader, "SELECT", "YES"), ("PUBLIC", "SELECT", "NO"), ("PUBLIC", "UPDATE", "NO")}
    build(warehouse, select)
    assert grants(postgres) == before


def test_views_and_indexes_stay_and_show_the_new_rows(warehouse: Warehouse, postgres: PostgresDatabase) -> None:
    postgres.query("CREATE VIEW made.doubled AS SELECT number * 2 AS twice FROM made.numbers")
    postgres.query("CREATE UNIQUE INDEX by_number ON made.numbers (number)")
    build(warehouse, TWO)
    assert postgres.query("SELECT twice FROM made.doubled") == [(4,)]
    assert postgres.query("SELECT indexname FROM pg_indexes WHERE tablename = 'numbers'") == [("by_number",)]


def test_other_columns_under_a_view_are_an_error_that_names_it(
    warehouse: Warehouse, postgres: PostgresDatabase
) -> None:
    postgres.query("CREATE VIEW made.doubled AS SELECT number * 2 AS twice FROM made.numbers")
    with pytest.raises(
        TableInUse, match=r"made\.numbers has to get other columns.+view made\.doubled.+is unchanged"
    ) as error:
        build(warehouse, WITH_WORD)
    assert not error.value.may_pass
    assert postgres.query("SELECT twice FROM made.doubled") == [(2,)]
    assert postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'made'") == [("numbers",)]
    postgres.query("DROP VIEW made.doubled")
    build(warehouse, WITH_WORD)
    assert postgres.query("SELECT * FROM made.numbers") == [(3, "three")]


def test_a_reader_is_neither_waited_for_nor_kept_waiting(warehouse: Warehouse, postgres: PostgresDatabase) -> None:
    """A long-running report sees the rows it began with, no matter what is built meanwhile."""
    report = psycopg2.connect(postgres.url)
    report.set_session(isolation_level="REPEATABLE READ")
    postgres.query(f"ALTER DATABASE {postgres.name} SET lock_timeout = '5s'")
    with report, report.cursor() as cursor:
        cursor.execute("SELECT number FROM made.numbers")
        build(warehouse, TWO)
        cursor.execute("SELECT number FROM made.numbers")
        assert cursor.fetchall() == [(1,)]
    report.close()
    assert postgres.query("SELECT number FROM made.numbers") == [(2,)]


def test_a_server_without_room_is_told_and_leaves_the_table_as_it_was(
    warehouse: Warehouse, postgres: PostgresDatabase
) -> None:
    for setting in ("temp_file_limit = '64kB'", "work_mem = '64kB'"):
        postgres.query(f"ALTER DATABASE {postgres.name} SET {setting}", user=ADMIN)
    with pytest.raises(WarehouseFull, match=r"temp_file_limit.+Free some and run again") as error:
        build(warehouse, "SELECT number FROM generate_series(1, 50000) AS given (number) ORDER BY number DESC")
    assert not error.value.may_pass
    assert postgres.query("SELECT number FROM made.numbers") == [(1,)]


def test_the_planner_knows_the_new_rows_at_once(warehouse: Warehouse, postgres: PostgresDatabase) -> None:
    build(warehouse, "SELECT number FROM generate_series(1, 5000) AS given (number)")
    assert postgres.query("SELECT reltuples FROM pg_class WHERE relname = 'numbers'") == [(5000,)]


def test_texts_are_compared_by_code_point_in_every_table(warehouse: Warehouse, postgres: PostgresDatabase) -> None:
    with warehouse.session() as session:
        session.query("CREATE TABLE made.given (id text NOT NULL, word varchar, amount decimal(18, 4))")
        session.query("ALTER TABLE made.given ADD COLUMN further text")
        swap(session, "SELECT id, concat(word, id) AS joined, coalesce(upper(further), '(none)') AS up FROM made.given")
    found = postgres.query(
        "SELECT a.attname, l.collname FROM pg_attribute AS a JOIN pg_collation AS l ON l.oid = a.attcollation "
        "WHERE a.attrelid IN ('made.given'::regclass, 'made.numbers'::regclass) AND a.attnum > 0 ORDER BY 1"
    )
    assert found == [(name, "C") for name in ("further", "id", "id", "joined", "up", "word")]

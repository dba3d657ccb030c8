"""Merges load files into DuckDB: rows with the same key are replaced, in one transaction, without a staging dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from refersion_dagster.warehouse.duckdb import merge
from refersion_dagster.warehouse.duckdb.destination import open_destination

MERGE = {"disposition": "merge", "strategy": "delete-insert", "deduplicated": True}
Rows = list[dict[str, Any]]


class Target:
    """A DuckDB file, and loads into its table `things`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "things.duckdb"
        self.folder = folder / "dlt"

    def load(
        self, rows: Rows, key: Sequence[str] = ("id",), disposition: Any = MERGE, file_format: Any = "parquet"
    ) -> None:
        columns: Any = {"id": {"data_type": "text", "nullable": False}, "amount": {"data_type": "bigint"}}
        things = dlt.resource(
            lambda: iter([pa.Table.from_pylist(rows)]),
            name="things",
            primary_key=list(key),
            write_disposition=disposition,
            columns=columns,
        )
        with open_destination(str(self.path)) as file:
            pipeline = dlt.pipeline("things", destination=file, dataset_name="raw", pipelines_dir=str(self.folder))
            pipeline.run(things, loader_file_format=file_format)

    def rows(self, columns: str = "id, amount") -> list[tuple[Any, ...]]:
        return self._query(f"SELECT {columns} FROM raw.things ORDER BY ALL")

    def schemas(self) -> set[str]:
        return {name for (name,) in self._query("SELECT DISTINCT schema_name FROM duckdb_tables()")}

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


def test_rows_of_known_keys_are_replaced_others_added_and_the_rest_left(target: Target) -> None:
    target.load([{"id": "a", "amount": 1}, {"id": "b", "amount": 2}])
    target.load([{"id": "b", "amount": 20}, {"id": "c", "amount": 30}])
    assert target.rows() == [("a", 1), ("b", 20), ("c", 30)]
    assert target.schemas() == {"raw"}


def test_the_same_rows_again_change_nothing(target: Target) -> None:
    for _ in range(2):
        target.load([{"id": "a", "amount": 1}, {"id": "b", "amount": 2}])
    assert target.rows() == [("a", 1), ("b", 2)]


WIDE = {"id": "a", "read_at": 1} | {f"c{number}": f"{number}" for number in range(20)}


def test_rows_that_are_as_they_were_stay_in_place_and_only_get_when_they_were_read(target: Target) -> None:
    target.load([WIDE, {**WIDE, "id": "b"}])
    before = target.rows("id, rowid")
    target.load([{**WIDE, "read_at": 2}, {**WIDE, "id": "b", "read_at": 2}])
    assert target.rows("id, rowid") == before
    assert target.rows("id, read_at, c0, c19") == [("a", 2, "0", "19"), ("b", 2, "0", "19")]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("old", "new"), [("x", "y"), ("x", "X"), ("x", None), (None, "y"), (None, ""), ("", None)])
@pytest.mark.parametrize("values_at_once", [merge.VALUES_AT_ONCE, 200, 1])
def test_a_change_of_any_column_is_seen_however_few_are_compared_at_once(
    target: Target, monkeypatch: pytest.MonkeyPatch, values_at_once: int, old: str | None, new: str | None
) -> None:
    monkeypatch.setattr(merge, "VALUES_AT_ONCE", values_at_once)
    columns = [name for name in WIDE if name.startswith("c")]
    target.load([*({**WIDE, "id": column, column: old} for column in columns), WIDE])
    target.load([*({**WIDE, "id": column, column: new, "read_at": 2} for column in columns), {**WIDE, "read_at": 2}])
    found = {id_: list(values) for id_, *values in target.rows(f"id, read_at, {', '.join(columns)}")}
    wanted = {column: [2, *(new if name == column else WIDE[name] for name in columns)] for column in columns}
    assert found == {**wanted, "a": [2, *(WIDE[name] for name in columns)]}


def test_a_row_that_somebody_doubled_is_one_again(target: Target) -> None:
    target.load([WIDE])
    with duckdb.connect(str(target.path)) as connection:
        connection.execute("INSERT INTO raw.things FROM raw.things")
    target.load([WIDE])
    assert target.rows("id") == [("a",)]


def test_a_load_that_is_repeated_within_the_same_moment_is_merged_all_the_same(target: Target) -> None:
    target.load([WIDE])
    target.load([{**WIDE, "c3": "other"}, {**WIDE, "id": "b"}])
    assert target.rows("id, c3") == [("a", "other"), ("b", "3")]


def test_a_key_may_have_several_columns(target: Target) -> None:
    target.load([{"id": "a", "of": "x", "amount": 1}, {"id": "a", "of": "y", "amount": 2}], key=("id", "of"))
    target.load([{"id": "a", "of": "y", "amount": 20}], key=("id", "of"))
    assert target.rows('id, "of", amount') == [("a", "x", 1), ("a", "y", 20)]


def test_a_column_that_is_not_sent_any_more_becomes_null(target: Target) -> None:
    target.load([{"id": "a", "amount": 1, "note": "old"}, {"id": "b", "amount": 2, "note": "kept"}])
    target.load([{"id": "a", "amount": 1}])
    assert target.rows("id, note") == [("a", None), ("b", "kept")]


def test_what_cannot_be_added_takes_nothing_away(target: Target) -> None:
    target.load([{"id": "a", "amount": 1}])
    with duckdb.connect(str(target.path)) as connection:
        connection.execute("ALTER TABLE raw.things ALTER amount TYPE TINYINT")
    with pytest.raises(PipelineStepFailed):
        target.load([{"id": "a", "amount": 1_000}])
    assert target.rows() == [("a", 1)]


def test_rows_that_nobody_said_were_distinct_go_dlts_own_way(target: Target) -> None:
    target.load([{"id": "a", "amount": 1}, {"id": "a", "amount": 1}], disposition="merge")
    assert target.rows() == [("a", 1)]
    assert target.schemas() == {"raw", "raw_staging"}


def test_tables_that_are_appended_to_go_dlts_own_way(target: Target) -> None:
    for _ in range(2):
        target.load([{"id": "a", "amount": 1}], disposition="append")
    assert target.rows() == [("a", 1), ("a", 1)]


def test_another_load_format_is_refused_rather_than_added_without_merging(target: Target) -> None:
    target.load([{"id": "a", "amount": 1}])
    with pytest.raises(PipelineStepFailed, match="loader_file_format='parquet'"):
        target.load([{"id": "a", "amount": 2}], file_format="insert_values")
    assert target.rows() == [("a", 1)]


def test_other_programs_see_dlts_usual_destination(target: Target) -> None:
    target.load([{"id": "a", "amount": 1}])
    plain = dlt.attach("things", pipelines_dir=str(target.folder))
    assert plain.destination is not None
    assert type(plain.destination) is dlt.destinations.duckdb

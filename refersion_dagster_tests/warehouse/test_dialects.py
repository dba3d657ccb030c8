"""SQL for other databases: what is allowed in a dialect, and which databases the settings name."""

from __future__ import annotations

import pytest

from refersion_dagster.settings import WarehouseSettings
from refersion_dagster.settings.values import InvalidSetting
from refersion_dagster.warehouse.dialects.dialect import DUCKDB, Dialect, UntestedSql, constructs_of
from refersion_dagster.warehouse.registry import DATABASES
from refersion_dagster.warehouse.sql import parse

SELECT = "SELECT round(total, 2) AS total, strange(id) AS kind, CAST(id AS DECIMAL(18, 4)) AS number FROM a.b"


class NarrowDialect(Dialect):
    name = "bigquery"
    constructs = constructs_of(parse(SELECT))


def test_constructs_name_functions_and_types() -> None:
    assert constructs_of(parse(SELECT)) >= {"Round", "strange()", "DataType DECIMAL", "Cast"}


def test_what_was_executed_is_written() -> None:
    assert NarrowDialect().write(parse(SELECT)).startswith("SELECT ROUND(total, 2) AS total")


@pytest.mark.parametrize(
    ("select", "untested"),
    [
        ("SELECT median(total) AS total FROM a.b", "Median"),
        ("SELECT other(id) AS kind FROM a.b", r"other\(\)"),
        ("SELECT CAST(id AS DATE) AS day FROM a.b", "DataType DATE"),
    ],
)
def test_anything_else_is_refused_by_its_name(select: str, untested: str) -> None:
    with pytest.raises(UntestedSql, match=f"uses {untested}, which was never tested in the dialect bigquery"):
        NarrowDialect().write(parse(select))


def test_duckdb_gets_the_statement_as_it_is() -> None:
    assert DUCKDB.write(parse("SELECT a // b AS c FROM d.e -- why")) == "SELECT a // b AS c FROM d.e"


def test_the_settings_know_the_registered_databases_and_no_other() -> None:
    variable = WarehouseSettings.variable("destination")
    for name in DATABASES:
        assert WarehouseSettings.of({variable: name}).destination == name
    with pytest.raises(InvalidSetting) as refused:
        WarehouseSettings.of({variable: "oracle"})
    named = [name for name in DATABASES if name in str(refused.value)]
    assert set(DATABASES) - set(named) <= {"postgresql"}

"""Tests on an account that does not say which conversions are tests: counted by totals, found, and excluded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.location import NOW, Outcome, account_of, materialise

ACCOUNT = SandboxSettings(affiliates=8, orders=200, days=200, now=NOW, currencies=("USD",))
LACKS = "SELECT count(*) FROM refersion_data._not_offered WHERE column_name = 'is_test_conversion'"
MARKED = "SELECT id FROM refersion_data.conversions WHERE is_test_conversion ORDER BY id"


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """An account without any test, and without the field."""
    with SandboxServer(ACCOUNT) as running:
        for row in [one for one in running.account.conversions.values() if one.is_test_conversion]:
            running.delete_conversion(row.id)
        running.configure(remove_fields=["Conversion.is_test_conversion"])
        yield running


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(duckdb_path=str(tmp_path / "warehouse.duckdb"))


def refresh(sandbox: SandboxServer, warehouse: Warehouse) -> Outcome:
    sandbox.advance(seconds=60)
    tables = (f"refersion/{table}" for table in ("conversions", "conversion_totals"))
    done = materialise(account_of(sandbox), warehouse, *tables)
    assert done.success, done.failure
    return done


def add_tests(sandbox: SandboxServer, *days: float, **more: Any) -> list[str]:
    moments = [int((NOW - timedelta(days=one)).timestamp()) for one in days]
    return [
        str(sandbox.insert_conversion(**{"is_test_conversion": True, "created": moment, "status": "APPROVED", **more}))
        for moment in moments
    ]


@pytest.mark.exhaustive
def test_where_there_are_none_that_is_known(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    done = refresh(sandbox, warehouse)
    assert "warnings" not in done.metadata["refersion/conversions"]
    assert warehouse.query(LACKS) == [(0,)]


@pytest.mark.exhaustive
def test_those_that_there_are_are_found_once_and_marked_ever_after(
    sandbox: SandboxServer, warehouse: Warehouse
) -> None:
    # All identical to each other and to ordinary orders, so that only the time distinguishes them.
    tests = add_tests(sandbox, 3, 30, 31, 70, 71, 100, 160, commission_total="2.00", total="20.00")
    for days in (3, 30, 31, 70, 71, 100, 160):
        add_tests(sandbox, days + 0.5, is_test_conversion=False, commission_total="2.00", total="20.00")
    done = refresh(sandbox, warehouse)
    assert [id_ for (id_,) in warehouse.query(MARKED)] == sorted(tests)
    assert warehouse.query(LACKS) == [(0,)]
    (said,) = [line for line in done.log if line.startswith("Test conversions: 7, 7 found in this run")]
    assert int(said.split("with ")[1].split()[0]) <= 50

    later = refresh(sandbox, warehouse)
    assert not any(line.startswith("Test conversions: ") for line in later.log)
    assert [id_ for (id_,) in warehouse.query(MARKED)] == sorted(tests)
    assert warehouse.query(LACKS) == [(0,)]

    tests += add_tests(sandbox, 5)
    assert any(line.startswith("Test conversions: 8, 1 found in this run") for line in refresh(sandbox, warehouse).log)
    assert [id_ for (id_,) in warehouse.query(MARKED)] == sorted(tests)


@pytest.mark.exhaustive
def test_what_time_and_amounts_do_not_tell_apart_is_a_warning(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    """A test and an order with the same second and the same amounts."""
    add_tests(sandbox, 40, commission_total="3.00", total="30.00")
    add_tests(sandbox, 40, is_test_conversion=False, commission_total="3.00", total="30.00")
    done = refresh(sandbox, warehouse)
    (warning,) = done.metadata["refersion/conversions"]["warnings"]
    assert "1 test conversion with 3.00 USD commission cannot be identified" in warning
    assert warehouse.query(MARKED) == []
    assert warehouse.query(LACKS) == [(1,)]
    assert not any(line.startswith("Test conversions: ") for line in refresh(sandbox, warehouse).log)


@pytest.mark.exhaustive
def test_other_currencies_stay_unknown_where_totals_leave_them_out(
    sandbox: SandboxServer, warehouse: Warehouse
) -> None:
    tests = add_tests(sandbox, 10)
    add_tests(sandbox, 12, currency="EUR")
    done = refresh(sandbox, warehouse)
    (warning,) = done.metadata["refersion/conversions"]["warnings"]
    assert warning.endswith("Refersion's totals say nothing about tests in EUR.")
    assert [id_ for (id_,) in warehouse.query(MARKED)] == tests
    assert warehouse.query(LACKS) == [(1,)]

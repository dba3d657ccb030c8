"""Every statement of the package in GoogleSQL's evaluator, which implements BigQuery's language.

The rows are the same as in DuckDB, to the last digit and with the same types, in two time zones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refersion_dagster.warehouse.dialects.bigquery import BigQueryDialect
from refersion_dagster.warehouse.dialects.constructs import CONSTRUCTS
from refersion_dagster_tests.engines.comparison import difference, differences, executed_constructs
from refersion_dagster_tests.engines.engine import Engine, started
from refersion_dagster_tests.engines.evaluated_account import SETTINGS, Evaluated, Loaded, case_names, export

pytestmark = pytest.mark.warehouses

# The evaluator reads all of a subquery for each row, which takes minutes. Of the checks of sums with one, one runs.
SLOW = "IN (SELECT conversion_id FROM refersion_summaries.conversions WHERE"


class AnyConstruct(BigQueryDialect):
    """BigQuery's dialect without the restriction to tested constructs."""

    constructs = None


@pytest.fixture(scope="module")
def googlesql() -> Iterator[Engine]:
    with started("googlesql") as engine:
        yield engine


@pytest.mark.parametrize("zone", SETTINGS)
@pytest.mark.parametrize("case", case_names())
def test_a_file_gives_the_same(googlesql: Engine, accounts: dict[str, Evaluated], case: str, zone: str) -> None:
    account = accounts[zone]
    assert difference(googlesql, AnyConstruct(), account.database, account.tables, account.named[case]) == ""


@pytest.mark.parametrize("zone", SETTINGS)
def test_and_so_does_all_that_reports_statements_and_checks_ask(
    googlesql: Engine, accounts: dict[str, Evaluated], zone: str
) -> None:
    account = accounts[zone]
    slow = [text for text in account.others if SLOW in text]
    fast = {text: tree for text, tree in account.others.items() if text not in slow[1:]}
    assert len(fast) > 20
    assert differences(googlesql, AnyConstruct(), account.database, account.tables, fast) == {}


def test_what_a_load_asks_and_records_is_the_same(googlesql: Engine, loaded: Loaded, tmp_path: Path) -> None:
    tables = export(loaded.between, tmp_path / "tables")
    assert len(loaded.statements) > 50
    assert differences(googlesql, AnyConstruct(), loaded.between, tables, loaded.statements) == {}


def test_the_dialect_allows_what_was_executed_here_and_nothing_else(
    loaded: Loaded, accounts: dict[str, Evaluated]
) -> None:
    executed = executed_constructs(loaded, accounts.values())
    assert executed == CONSTRUCTS, f"constructs.py has to be {sorted(executed)}"

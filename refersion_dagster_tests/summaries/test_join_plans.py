"""DuckDB's plans: no summary and no check compares each row of one large table with each row of another.

DuckDB joins by hashes only if every condition of a LEFT JOIN compares one side with the other. Anything else, such as
an OR or a condition on the left side alone, makes it compare all pairs, which takes hours on a large account.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.account import make_account
from refersion_dagster.checks.query import load_checks
from refersion_dagster.checks.sums import build_sums_check
from refersion_dagster.resources import Warehouse
from refersion_dagster.summaries.build import FOUND_OUT, build
from refersion_dagster.summaries.query import list_tables, load_summaries
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.sql import bind

pytestmark = pytest.mark.exhaustive

ROWS = 10_000
# Of the account's two years: a join with each month's end is allowed.
PAIRS_PER_ROW = 50
COMPARING_ALL = ("BLOCKWISE", "NESTED_LOOP", "CROSS_PRODUCT")
SUMMARIES = load_summaries()
CHECKS = load_checks(list_tables(summary.name for summary in SUMMARIES))


def list_pairs(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The operators of a plan that compare all pairs, each with their number."""
    children = plan.get("children", [])
    name = plan.get("operator_name", "")
    if name.startswith(COMPARING_ALL):
        left, right = (child["operator_cardinality"] for child in children)
        yield name, left * right
    for child in children:
        yield from list_pairs(child)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    path: Path = tmp_path_factory.mktemp("plans") / "warehouse.duckdb"
    make_account(path, ROWS, affiliates=1_000)
    warehouse = Warehouse(duckdb_path=str(path))
    with warehouse.session() as session:
        for summary in SUMMARIES:
            build(session, summary, ReportSettings().parameters())
    return warehouse


STATEMENTS = {
    **{summary.name: summary.file.tree for summary in SUMMARIES},
    **{f"check {check.file.name}": check.file.tree for check in CHECKS},
    **{f"sums of {one.name}": build_sums_check(one.name, one.header.sums) for one in SUMMARIES if one.header.sums},
}


def test_no_join_compares_all_pairs(warehouse: Warehouse) -> None:
    values = {**dict.fromkeys(FOUND_OUT, ""), **ReportSettings().parameters()}
    found: dict[str, list[tuple[str, int]]] = {}
    with warehouse.session() as session:
        for name, statement in STATEMENTS.items():
            sql = statement if isinstance(statement, str) else session.translated(bind(statement, values))
            ((_, plan),) = session.native(f"EXPLAIN (ANALYZE, FORMAT json) {sql}")
            found[name] = list(list_pairs(json.loads(plan)))
    assert any(found.values()), "the plan has other names for its operators"
    slow = {name: pairs for name, pairs in found.items() if any(count > ROWS * PAIRS_PER_ROW for _, count in pairs)}
    assert slow == {}

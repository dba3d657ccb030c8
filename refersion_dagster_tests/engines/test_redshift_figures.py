"""Every statement of the package, translated for Redshift, in PostgreSQL: no Redshift can be had for tests.

The rows are the same as in DuckDB, to the last digit and with the same types, in two time zones. What PostgreSQL cannot
show is checked by `redshift_limits`; see docs/dialects.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
import sqlglot
from sqlglot import exp

from refersion_dagster.warehouse.dialects.redshift import RedshiftDialect
from refersion_dagster.warehouse.sql import parse
from refersion_dagster_tests.engines.comparison import difference, differences, executed_constructs
from refersion_dagster_tests.engines.engine import Engine
from refersion_dagster_tests.engines.evaluated_account import SETTINGS, Evaluated, Loaded, case_names, export
from refersion_dagster_tests.engines.redshift_relative import RedshiftRelative
from refersion_dagster_tests.engines.test_databricks_figures import EXPRESSIONS
from refersion_dagster_tests.postgres import PostgresServer

pytestmark = pytest.mark.warehouses

# PostgreSQL compares a blank at the end of a text, Redshift does not; a pattern of ours has no backslash.
NOT_HERE = ("'x' = 'x '",)


class AnyConstruct(RedshiftDialect):
    """Redshift's dialect without the restriction to tested constructs."""

    constructs = None


ANY = AnyConstruct()


@pytest.fixture(scope="module")
def relative(postgres_server: PostgresServer) -> Iterator[Engine]:
    engine = RedshiftRelative(postgres_server.create_database())
    yield cast(Engine, engine)
    engine.close()


@pytest.mark.parametrize("zone", SETTINGS)
@pytest.mark.parametrize("case", case_names())
def test_a_file_gives_the_same(relative: Engine, accounts: dict[str, Evaluated], case: str, zone: str) -> None:
    account = accounts[zone]
    assert difference(relative, ANY, account.database, account.tables, account.named[case]) == ""


@pytest.mark.parametrize("zone", SETTINGS)
def test_so_does_whatever_else_is_asked(relative: Engine, accounts: dict[str, Evaluated], zone: str) -> None:
    account = accounts[zone]
    assert len(account.others) > 20
    assert differences(relative, ANY, account.database, account.tables, account.others, True) == {}


def test_so_does_what_a_load_asks_and_records(
    relative: Engine, loaded: Loaded, tmp_path_factory: pytest.TempPathFactory
) -> None:
    between = export(loaded.between, tmp_path_factory.mktemp("between") / "tables")
    assert len(loaded.statements) > 50
    assert differences(relative, ANY, loaded.between, between, loaded.statements, True) == {}


@pytest.mark.parametrize("expression", [one for one in EXPRESSIONS if one not in NOT_HERE])
def test_so_does_an_expression(relative: Engine, accounts: dict[str, Evaluated], expression: str) -> None:
    table = "" if " FROM refersion_data." in expression else " FROM (SELECT 1 AS one) AS t"
    account = accounts["UTC"]
    tree = parse(f"SELECT {expression}{table}")
    assert difference(relative, ANY, account.database, account.tables, tree) == ""


def test_no_statement_has_what_redshift_lacks_once_it_is_read_again(
    loaded: Loaded, accounts: dict[str, Evaluated]
) -> None:
    trees = [*loaded.statements.values()]
    trees += [tree for account in accounts.values() for tree in (*account.named.values(), *account.others.values())]
    for tree in trees:
        again = sqlglot.parse_one(ANY.write(tree.copy()), dialect="redshift")
        assert not [*again.find_all(exp.Lateral, exp.GenerateSeries, exp.NullSafeNEQ, exp.ConcatWs, exp.Filter)]
        assert all(isinstance(values.parent, exp.Insert) for values in again.find_all(exp.Values))


def test_the_dialect_allows_what_was_executed_here_and_nothing_else(
    loaded: Loaded, accounts: dict[str, Evaluated]
) -> None:
    assert executed_constructs(loaded, accounts.values()) == RedshiftDialect.constructs

from collections.abc import Iterator

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.settings import Switches, as_json
from refersion_dagster.summaries.knowledge import NONE
from refersion_dagster_tests.location import SMALL, TABLES, account_of, materialise
from refersion_dagster_tests.partial.accounts import Full, build_all, failing, figures


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    database = tmp_path_factory.mktemp("full") / "warehouse.duckdb"
    warehouse = Warehouse(duckdb_path=str(database))
    with SandboxServer(SMALL) as sandbox:
        tables = (
            f"refersion/{table}" for table in (*TABLES, "conversion_history", "graphql_schemas", "schema_changes")
        )
        outcome = materialise(account_of(sandbox), warehouse, *tables)
        assert outcome.success, outcome.failure
        with warehouse.session() as session:
            build_all(session)
            found, checks = figures(session), failing(session, NONE)
        yield Full(sandbox, database, found, checks)


@pytest.fixture(autouse=True)
def switched_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Resets the sandbox's switches after each test that uses it. Other tests need not wait for it to load."""
    full: Full | None = request.getfixturevalue("full") if "full" in request.fixturenames else None
    yield
    if full:
        full.sandbox.configure(**as_json(Switches()))

"""A failing blocking check keeps what stands on the table from being rebuilt; others do not."""

import dagster as dg
import pytest

from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.checks.check_evaluation import evaluate
from refersion_dagster_tests.location import SMALL, account_of, materialise

CORE = ["summaries/affiliates", "summaries/conversions", "summaries/currencies"]
# Before the look-back, and not in the slice that this refresh reads in turn.
OLD = "SELECT * REPLACE (read_at AS vanished_at) FROM refersion_data.conversions ORDER BY created, id LIMIT 1 OFFSET 60"


def test_a_doubled_row_reaches_no_summary(warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        # Rows that are gone are in no count, so that no refresh reads it again now, which would mend it.
        session.query(f"INSERT INTO refersion_data.conversions {OLD}")
        session.query("DELETE FROM refersion_summaries.conversions")
    with SandboxServer(SMALL) as sandbox:
        told = materialise(account_of(sandbox), warehouse, "refersion/conversions", *CORE, checked=True)
    assert not told.success
    assert "refersion/conversions" in told.metadata
    assert "summaries/affiliates" in told.metadata  # stands on other tables
    assert not told.metadata.keys() & {"summaries/conversions", "summaries/currencies"}
    assert warehouse.query("SELECT count(*) FROM refersion_summaries.conversions") == [(0,)]


@pytest.mark.exhaustive
def test_a_warning_stops_nothing(warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        session.query("UPDATE refersion_data.conversions SET currency = 'usd' WHERE currency = 'USD'")
    told = materialise(RefersionResource(), warehouse, *CORE, checked=True)
    assert told.success, told.failure
    assert told.metadata.keys() >= set(CORE)
    (found,) = evaluate(warehouse, "summaries/conversions:currencies_well_formed").values()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)

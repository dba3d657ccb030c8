"""The copies of several accounts in one set: nothing is added up, and no account holds up another."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from refersion_dagster.report.publish import publish
from refersion_dagster.report.union import UnionResult, unite
from refersion_dagster.resources import Warehouse
from refersion_dagster.summaries.query import load_summaries

PUBLISHED = ("currencies", "commission_liability", "data_as_of")
EARLIER = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def copies(everything_built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published copies of one account."""
    folder = tmp_path_factory.mktemp("copies")
    summaries = [one for one in load_summaries() if one.name in PUBLISHED]
    with Warehouse(duckdb_path=str(everything_built)).session(read_only=True) as session:
        publish(session, summaries, folder, "11111111-0000")
    return folder


class Accounts:
    """Two accounts with copies in a folder. The second one was read earlier, and does not offer a field."""

    def __init__(self, folder: Path, copies: Path) -> None:
        self.folder = folder
        self.sources = {name: str(folder / name) for name in ("shop_eu", "shop_us")}
        for path in self.sources.values():
            shutil.copytree(copies, path, symlinks=True)
        manifest = self.current("shop_us") / "manifest.json"
        told = json.loads(manifest.read_text())
        told["as_of"] = EARLIER.isoformat()
        told["not_offered"] = [{"table": "conversions", "column": "payment_id", "reason": "not offered"}]
        manifest.write_text(json.dumps(told))
        self.change(
            "shop_us", "UPDATE refersion_summaries.commission_liability SET due = due * 2, due_paid_before = NULL"
        )

    def current(self, name: str) -> Path:
        return Path(self.sources[name]) / "current"

    def change(self, name: str, statement: str) -> None:
        with duckdb.connect(str(self.current(name) / "refersion.duckdb")) as copy:
            copy.execute(statement)

    def unite(self) -> UnionResult:
        return unite(self.sources, self.folder / "united", "22222222-0000", 30)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "united" / "current" / "refersion.duckdb"), read_only=True) as union:
            union.execute("SET TimeZone = 'UTC'; SET search_path = 'all_accounts'")
            return union.execute(sql).fetchall()


@pytest.fixture
def accounts(tmp_path: Path, copies: Path) -> Accounts:
    return Accounts(tmp_path, copies)


def test_each_row_has_its_account_its_time_and_its_own_amounts(accounts: Accounts) -> None:
    united = accounts.unite()
    ((eu,),) = accounts.query("SELECT sum(due) FROM commission_liability WHERE account = 'shop_eu'")
    assert eu
    assert accounts.query("SELECT sum(due) FROM commission_liability WHERE account = 'shop_us'") == [(eu * 2,)]
    # What is not known stays unknown, and says why.
    known = "SELECT account, count(due_paid_before) > 0 FROM commission_liability GROUP BY account ORDER BY account"
    assert accounts.query(known) == [("shop_eu", True), ("shop_us", False)]
    assert ("shop_us", "refersion_data.conversions", "payment_id", "not offered") in accounts.query("FROM not_known")
    late, read = (
        {one.account: one.is_late for one in united.accounts},
        {one.account: one.as_of for one in united.accounts},
    )
    assert late == {"shop_eu": True, "shop_us": True}
    assert read["shop_us"] == EARLIER
    assert accounts.query("SELECT DISTINCT account_as_of FROM currencies WHERE account = 'shop_us'") == [(EARLIER,)]
    first = accounts.query("DESCRIBE commission_liability")[:3]
    assert [name for name, *_ in first] == ["account", "account_as_of", "affiliate_id"]
    ((parquet,),) = duckdb.execute(
        f"SELECT count(*) FROM '{accounts.folder}/united/current/parquet/commission_liability.parquet'"
    ).fetchall()
    assert parquet == united.rows["commission_liability"]


def test_an_account_without_copies_holds_up_no_other_and_is_never_0(accounts: Accounts) -> None:
    accounts.sources["shop_uk"] = str(accounts.folder / "nothing")
    (accounts.current("shop_us") / "refersion.duckdb").write_bytes(b"not a database")
    states = {one.account: one for one in accounts.unite().accounts}
    assert (states["shop_eu"].reason, states["shop_eu"].tables) == (None, 3)
    for name, reason in (("shop_uk", "nothing is published in"), ("shop_us", "its copies cannot be read")):
        assert reason in (states[name].reason or "")
        assert (states[name].as_of, states[name].is_late) == (None, None)
    assert accounts.query("SELECT DISTINCT account FROM commission_liability") == [("shop_eu",)]
    assert accounts.query("SELECT account FROM accounts ORDER BY account") == [("shop_eu",), ("shop_uk",), ("shop_us",)]


def test_tables_of_other_releases_are_united_if_their_types_hold_the_same_values(accounts: Accounts) -> None:
    accounts.change("shop_us", "ALTER TABLE refersion_summaries.currencies ADD COLUMN later DATE")
    accounts.change("shop_us", "ALTER TABLE refersion_summaries.commission_liability ALTER pending TYPE DECIMAL(20,4)")
    accounts.change("shop_us", "DROP VIEW main.data_as_of; DROP TABLE refersion_summaries.data_as_of")
    states = {one.account: one for one in accounts.unite().accounts}
    gaps = accounts.query("FROM not_known WHERE table_name NOT LIKE 'refersion_data.%'")
    assert sorted((account, table, column) for account, table, column, _ in gaps) == [
        ("shop_eu", "currencies", "later"),
        ("shop_us", "data_as_of", None),
    ]
    assert states["shop_us"].reason == "without data_as_of: see not_known"

    accounts.change("shop_us", "ALTER TABLE refersion_summaries.commission_liability ALTER due TYPE VARCHAR")
    states = {one.account: one for one in accounts.unite().accounts}
    assert states["shop_us"].reason == "without commission_liability, data_as_of: see not_known"
    assert accounts.query("SELECT DISTINCT account FROM commission_liability") == [("shop_eu",)]
    ((reason,),) = accounts.query("SELECT reason FROM not_known WHERE table_name = 'commission_liability'")
    assert reason.startswith("its column due is varchar, but decimal(")

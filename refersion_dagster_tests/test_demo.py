"""`refersion-dagster demo`: from nothing to a table of commissions, with nothing of the user's touched."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.location import Ended, Location, query
from refersion_dagster_tests.processes import with_variable

pytestmark = pytest.mark.processes

BOGUS = {
    "REFERSION_PUBLIC_KEY": "pub_of_the_user",
    "REFERSION_SECRET_KEY": "sec_of_the_user",
    "REFERSION_GRAPHQL_TOKEN": "token_of_the_user",
    # Nothing listens here: a demo that asked would fail.
    "REFERSION_REST_URL": "http://127.0.0.1:9/v2",
    "REFERSION_GRAPHQL_URL": "http://127.0.0.1:9/graphql",
    "REFERSION_START_DATE": "not a date",
    "SOURCES__REFERSION_SOURCE__API_KEY": "sec_of_the_user",
}


@dataclass(frozen=True)
class Demo:
    location: Location
    folder: Path
    ended: Ended

    @property
    def database(self) -> Path:
        return self.folder / "refersion.duckdb"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demo of a user who has an account set up, in a folder where an earlier demo was broken off."""
    base = tmp_path_factory.mktemp("demo")
    users = base / "user"
    location = Location.of(users).with_settings(**BOGUS, REFERSION_DUCKDB_PATH=str(users / "own.duckdb"), COLUMNS="100")
    folder = base / "shown"
    (folder / "dagster" / "storage").mkdir(parents=True)
    (folder / "refersion.duckdb").write_bytes(b"half of a database")
    (folder / "refersion.duckdb.wal").write_bytes(b"what was not in it yet")
    return Demo(location, folder, location.run("refersion-dagster", "demo", "--folder", str(folder)))


def test_it_succeeds_whatever_an_earlier_one_left(demo: Demo) -> None:
    assert demo.ended.code == 0, demo.ended.output


def test_the_account_is_the_same_each_time(demo: Demo) -> None:
    with SandboxServer() as sandbox:
        sums = sandbox.sums()
    loaded = query(demo.database, "SELECT count(*), sum(commission_total) FROM refersion_data.conversions")
    of_account = sums["conversions"] + sums["test_conversions"]
    assert loaded == [(sums["number_of_conversions"], sum(Decimal(row["commission_total"]) for row in of_account))]


def test_it_prints_a_table_for_each_currency(demo: Demo) -> None:
    currencies = query(demo.database, "SELECT currency FROM refersion_summaries.currencies ORDER BY place")
    assert [currency for (currency,) in currencies] == ["USD", "EUR", "GBP"]  # the account's own first
    titles = [line.strip() for line in demo.ended.output.splitlines() if line.startswith("Commission by affiliate")]
    assert titles == [f"Commission by affiliate, {currency}" for (currency,) in currencies]
    assert len(titles) == 3


def test_the_figures_are_those_of_the_database(demo: Demo) -> None:
    (row,) = query(
        demo.database,
        "SELECT sum(orders), sum(sales), sum(commission_pending), sum(commission_due), sum(commission_paid) "
        "FROM refersion_summaries.commission_by_affiliate WHERE currency = 'USD'",
    )
    shown = demo.ended.output.partition("Commission by affiliate, USD")[2].partition("Commission by affiliate, EUR")[0]
    (total,) = [line.split() for line in shown.splitlines() if line.split()[:1] == ["all"]]
    assert total[1:] == [f"{row[0]:,}", *(f"{amount:,.2f}" for amount in row[1:])]


def test_what_is_owed_is_shown_by_currency_and_age(demo: Demo) -> None:
    owed = query(
        demo.database,
        "SELECT currency, sum(due), sum(due_0_30_days), sum(due_31_60_days), sum(due_61_90_days), "
        "sum(due_over_90_days), sum(credits_not_set_off), sum(pending), sum(accrued) "
        "FROM refersion_summaries.commission_liability JOIN refersion_summaries.currencies USING (currency) "
        "GROUP BY currency, place ORDER BY place",
    )
    shown = demo.ended.output.partition("Commission due, by days since approval")[2].partition("Is it correct?")[0]
    titles, *lines = [line.split() for line in shown.splitlines() if line.strip(" ─")]
    assert titles == [currency for currency, *_ in owed]
    for at, (_, due, *amounts) in enumerate(owed):
        assert sum(amounts[:5]) == due  # the ages and the credits
        assert [line[at - len(owed)] for line in lines] == [f"{amount:,.2f}" for amount in (due, *amounts)]
    assert [line[: -len(owed)][0] for line in lines][:2] == ["due", "0-30"]
    assert max(map(len, shown.splitlines())) < 80


def test_the_result_of_every_check_is_shown(demo: Demo) -> None:
    shown = demo.ended.output.partition("Is it correct?")[2]
    for check in ("primary_key", "sums_preserved", "roll_forward_ties", "control_totals_agree"):
        assert f"✓ {check}: " in shown
    (counts,) = [line.split() for line in shown.splitlines() if line.endswith("checks passed.")]
    assert counts[0] == counts[2]
    assert int(counts[0]) > 60
    assert "USD: 100 % of commission proven by Refersion's totals." in shown
    assert "EUR: not proven by Refersion's totals" in shown


def test_it_says_where_the_database_is_and_what_to_do_next(demo: Demo) -> None:
    flat = "".join(demo.ended.output.split())
    assert f"Thedatabaseis{demo.database}." in flat
    report = demo.folder / "reports" / "latest.html"
    assert f"The report (open it in a browser): {report}" in demo.ended.output.splitlines()
    assert report.read_text("utf-8").count("<h1>") == 1
    assert "refersion-dagster demo --ui" in " ".join(demo.ended.output.split())


def test_it_tells_its_progress_table_by_table(demo: Demo) -> None:
    at = [demo.ended.output.index(f"{table}: ") for table in ("affiliate_list", "payments", "conversions")]
    assert at == sorted(at)


def test_it_leaves_no_process_behind(demo: Demo) -> None:
    assert with_variable("HOME", demo.location.environment["HOME"]) == []


def test_nothing_of_the_users_is_used_or_touched(demo: Demo) -> None:
    assert "of_the_user" not in demo.ended.output
    assert not (demo.location.folder / "own.duckdb").exists()
    # The user's own Dagster has no run in it.
    left = [path.name for path in (demo.location.folder / "dagster").iterdir()]
    assert left == ["dagster.yaml"]
    assert [path.name for path in (demo.location.folder / "tmp").iterdir() if path.name.startswith("refersion")] == []


def test_its_folder_holds_the_database_and_dagsters_records(demo: Demo) -> None:
    left = {path.name for path in demo.folder.iterdir()}
    assert left == {"dagster", "published", "reports", "refersion.duckdb", "refersion.duckdb.lock"}


def test_a_folder_that_cannot_be_made_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    ended = Location.of(tmp_path).run("refersion-dagster", "demo", "--folder", str(tmp_path / "file"))
    assert ended.code == 2
    assert "is a file" in ended.output
    assert (tmp_path / "file").read_text() == "mine"


def test_other_files_of_its_folder_stay(demo: Demo) -> None:
    kept = demo.folder / "kept.txt"
    kept.write_text("mine")
    from refersion_dagster.demo.environment import clear

    clear(demo.folder)
    assert kept.read_text() == "mine"
    assert not demo.database.exists()

"""Columns that have a new name are there under the old one too, for one release."""

import re
import shutil
from pathlib import Path

import pytest

import refersion_dagster
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.build import read_interpretation
from refersion_dagster.summaries.knowledge import is_kept, needs_of
from refersion_dagster.summaries.lineage import column_sources
from refersion_dagster.summaries.query import parse
from refersion_dagster.warehouse.sql_file import SqlFileError
from refersion_dagster_tests.summaries.builders import (
    WarehouseBuilder,
    affiliate,
    all_summaries,
    cancellation,
    day,
    history,
    order,
    paid,
    payment,
    summary_of,
    totals,
)

# Old name and new name of every column; CHANGELOG.md has the same.
OF_ORDERS_MADE = {
    f"commission{state}": f"commission{state}_of_orders_made"
    for state in ("", "_pending", "_due", "_paid", "_denied", "_unqualified", "_unknown")
}
OLD_NAMES = {
    "clawbacks": {"standing": "repayment_status"},
    "commission_daily": OF_ORDERS_MADE,
    "commission_liability": {
        **{f"due_{age}": f"due_{age}_days" for age in ("0_30", "31_60", "61_90", "over_90")},
        "blocked_by": "block_reason",
    },
    "commission_monthly": OF_ORDERS_MADE,
    "control_totals": {
        "reading": "interpretation",
        "reading_fits": "interpretation_fits",
        "reading_kept": "interpretation_kept",
        "readings_possible": "interpretations_possible",
    },
    "conversion_exceptions": {"look_at": "suggested_action"},
    "conversion_states": {"approved_by": "approved_latest"},
    "conversions": {"kind": "conversion_kind", "state": "commission_state", "approved_by": "approved_at_source"},
    "due_periods": {"kind": "conversion_kind", "came_as": "entry_reason", "left_as": "exit_reason"},
    "payments_taken_back": {"state": "commission_state"},
    "payout_preview": {"held_back_because": "block_reason"},
    "self_referrals": {"state": "commission_state"},
}
OWN = "its currency only, tests left out"
FILE = """/*
group: owed
description: What is owed.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
questions:
  - What do we owe?
columns:
  owed: Commission.
  paid: Commission paid.
renamed:
  owed: due
  paid: settled
needs:
  owed: conversions.status
kept: [owed]
*/
SELECT
  currency,
  sum(CASE WHEN status = 'APPROVED' THEN commission_total END) AS owed,
  paid -- of old
FROM refersion_data.conversions CROSS JOIN (SELECT 1 AS paid)
GROUP BY currency, paid
ORDER BY owed
"""


@pytest.fixture(scope="module")
def lived_in(empty_raw_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> WarehouseBuilder:
    """Something of everything that has a column with an old name, built."""
    books = WarehouseBuilder(Path(shutil.copy(empty_raw_tables, tmp_path_factory.mktemp("lived-in"))))
    mine = {"customer__email": "affiliate1@example.com"}
    books.add("affiliates", affiliate(1), affiliate(2)).add("payments", payment(900, "12", 2))
    books.add("conversion_totals", totals(day(1), "APPROVED", "UNPAID", 1, "4", "40"))
    books.watched(paid(2, "100", "10", **mine), approved=day(5)).watched(
        order(3, "40", "4", click__created=day(3)), approved=day(9)
    )
    books.watched(cancellation(31, 2, "-100", "-10", status="PENDING", created=day(31)), order(4, "5", "1", "DENIED"))
    # Paid once, and due again.
    books.conversions(order(5, "20", "2", affiliate_id="2", updated=day(7)))
    was = {"total": "20", "currency": "USD"}
    books.add(
        "conversion_history",
        history(
            5, day(6), "new", "APPROVED", "2", payment_status="PAID", payment_id="900", updated=day(5, hour=6), **was
        ),
        history(5, day(8), "changed", "APPROVED", "2", seen_before=day(6), **was),
    )
    books.build(*OLD_NAMES)
    return books


def test_the_old_names_are_these() -> None:
    found = {one.name: {old: new for new, old in one.header.renamed.items()} for one in all_summaries()}
    assert {name: names for name, names in found.items() if names} == OLD_NAMES


def test_the_changelog_has_them() -> None:
    text = (Path(refersion_dagster.__file__).parent.parent / "CHANGELOG.md").read_text("utf-8")
    text = text.partition("### Columns renamed")[2].partition("\n#")[0]
    cells = [re.split(r" \| ", line.strip("| ")) for line in re.findall(r"^\| `.*\|$", text, re.MULTILINE)]
    told: dict[str, dict[str, str]] = {}
    for tables, old_names, new_names in cells:
        for table in re.findall(r"`(\w+)`", tables):
            for old in re.findall(r"`(\w+)`", old_names):
                added = re.fullmatch(r"the same with `(\w+)`", new_names)
                told.setdefault(table, {})[old] = f"{old}{added[1]}" if added else new_names.strip("`")
    assert told == OLD_NAMES


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", OLD_NAMES)
def test_a_column_is_the_same_under_its_old_name(lived_in: WarehouseBuilder, name: str) -> None:
    rows = lived_in.built(name, *summary_of(name).columns)
    assert rows
    assert all(row[old] == row[new] for row in rows for old, new in OLD_NAMES[name].items())
    with lived_in.warehouse.session() as session:
        kinds = dict(session.columns(SUMMARIES, name))
    assert {old: kinds[old] for old in OLD_NAMES[name]} == {old: kinds[new] for old, new in OLD_NAMES[name].items()}
    assert summary_of(name).columns[-len(OLD_NAMES[name]) :] == tuple(summary_of(name).header.renamed.values())


@pytest.mark.parametrize("name", OLD_NAMES)
def test_it_needs_and_comes_from_the_same(name: str) -> None:
    summary = summary_of(name)
    needs, sources = needs_of(summary), column_sources(summary, all_summaries())
    for old, new in OLD_NAMES[name].items():
        assert (needs[old], sources[old]) == (needs[new], sources[new])
        assert is_kept(summary, old) == is_kept(summary, new)
        assert summary.header.columns[old] == f"Old name of {new}; goes in the next release."


def test_the_columns_are_added_after_the_last_one() -> None:
    summary = parse(FILE, "sql/owed.sql")
    assert summary.columns == ("currency", "owed", "paid", "due", "settled")
    owed = "SUM(CASE WHEN status = 'APPROVED' THEN commission_total END)"
    assert f"  paid,\n  {owed} AS due,\n  paid AS settled -- of old\nFROM" in summary.file.select
    assert (summary.header.needs, summary.header.kept) == (
        {"owed": "conversions.status", "due": "conversions.status"},
        ["owed", "due"],
    )


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        (FILE.replace("  owed: due", "  amount: due"), 13, "renamed names amount, which the SELECT does not give"),
        (FILE.replace("  owed: due", "  owed: paid"), 13, "paid is an old name, but it is a column of its own"),
        (FILE.replace("  paid: settled", "  paid: due"), 13, "renamed gives the old name due to two columns"),
        (FILE + "LIMIT 1 UNION ALL SELECT 'USD', 1, 1", 13, "renamed needs one last SELECT, without UNION"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(file: str, line: int, said: str) -> None:
    with pytest.raises(SqlFileError, match=f"^sql/owed\\.sql:{line}: .*{re.escape(said)}"):
        parse(file.replace("ORDER BY owed\nLIMIT 1 ", ""), "sql/owed.sql")


def test_the_interpretation_that_the_release_before_kept_to_is_kept(books: WarehouseBuilder) -> None:
    with books.warehouse.session() as session:
        assert read_interpretation(session) is None
        session.native(f"CREATE SCHEMA IF NOT EXISTS {SUMMARIES}")
        session.native(
            f"CREATE TABLE {SUMMARIES}.control_totals AS SELECT TRUE AS reading_kept, '{OWN}' AS readings_possible"
        )
        assert read_interpretation(session) == OWN

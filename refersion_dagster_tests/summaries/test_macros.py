"""What SQL files share: macros in place of their calls, in the SQL that runs and that is shown."""

import re
from decimal import Decimal

import pytest

from refersion_dagster.checks.query import load_checks
from refersion_dagster.summaries.macros import MACROS
from refersion_dagster.summaries.query import list_tables, parse, sort_by_dependency
from refersion_dagster.warehouse.macros import Macro, MacroError, expand
from refersion_dagster.warehouse.sql import parse as parse_sql
from refersion_dagster.warehouse.sql_file import SqlFileError
from refersion_dagster_tests.summaries.builders import D, WarehouseBuilder, all_summaries

TWICE = {
    "twice": Macro(("value",), "{value} + {value}"),
    "both": Macro(("row",), "\n{row}.a,\n{row}.b\n"),
    "one": Macro((), "1"),
}
HEADER = """/*
group: owed
description: What is owed.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
macros: [share, commission_by_state]
questions:
  - What do we owe?
*/
"""
SELECT = """WITH per_currency AS (
  SELECT
    currency,
    commission_by_state()
  FROM refersion_summaries.conversions
  GROUP BY currency
)

SELECT currency, share(commission_due, commission) AS due_share, $report_timezone AS zone
FROM per_currency
"""


class TestExpanding:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("SELECT twice(a) AS b", "SELECT a + a AS b"),
            ("SELECT twice( c.a )", "SELECT c.a + c.a"),
            ("SELECT twice(a - b)", "SELECT (a - b) + (a - b)"),
            ("SELECT twice(coalesce(a, 0))", "SELECT coalesce(a, 0) + coalesce(a, 0)"),
            ("SELECT abs(twice(a), one())", "SELECT abs(a + a, 1)"),
            ("SELECT\n  both(c)\nFROM c -- both(c)", "SELECT\n  c.a,\n  c.b\nFROM c -- both(c)"),
            ("SELECT twice, c.one AS one, not_one() -- one()\nFROM twice", None),
        ],
    )
    def test_a_call_becomes_the_macros_sql(self, text: str, expected: str | None) -> None:
        named = [name for name in TWICE if expected and f"{name}(" in text]
        assert expand(text, TWICE, named)[0] == (expected or text)

    def test_each_line_knows_the_one_it_comes_from(self) -> None:
        text, lines = expand("SELECT\n  both(c),\n  twice(1 + 2),\n  d\nFROM c", TWICE, ["both", "twice"])
        assert text.splitlines() == ["SELECT", "  c.a,", "  c.b,", "  (1 + 2) + (1 + 2),", "  d", "FROM c"]
        assert lines == (1, 2, 2, 3, 4, 5)

    @pytest.mark.parametrize(
        ("text", "named", "line", "said"),
        [
            ("SELECT\n  one()", [], 2, "one is a macro: it has to be named under macros"),
            ("SELECT 1", ["one"], 0, "macros names one, which the SELECT does not call"),
            ("SELECT 1", ["none"], 0, "macros names none; there are both, one, twice"),
            ("SELECT\n\n  twice(a, b)", ["twice"], 3, "twice(value) is given 2 arguments"),
            ("SELECT one(a)", ["one"], 1, "one() is given 1 arguments"),
            ("SELECT 2,\n  twice(1 + one())", ["twice", "one"], 2, "one is a macro: it has to be on one line, not in"),
            ("SELECT 2,\n  twice(\n    1)", ["twice"], 2, "twice is a macro: it has to be on one line, not in another"),
            ("SELECT twice(((1)))", ["twice"], 1, "twice is a macro: it has to be on one line"),
        ],
    )
    def test_a_mistake_is_told_with_its_line(self, text: str, named: list[str], line: int, said: str) -> None:
        with pytest.raises(MacroError, match=re.escape(said)) as told:
            expand(text, TWICE, named)
        assert told.value.line == line


class TestFiles:
    def test_the_sql_that_is_shown_has_no_calls(self) -> None:
        summary = parse(HEADER + SELECT, "sql/owed.sql")
        assert summary.columns == ("currency", "due_share", "zone")
        assert "    sum(CASE WHEN commission_state = 'due' THEN commission ELSE 0 END) AS commission_due,\n" in (
            summary.file.select
        )
        assert parse_sql(summary.file.select) == summary.file.tree

    @pytest.mark.parametrize(
        ("select", "line", "said"),
        [
            (SELECT.replace("FROM per_currency", "FROM per_currency AS p\nJOIN nothing AS n ON TRUE"), 21, "nothing"),
            (SELECT.replace("GROUP BY currency", "GROUP BY sum("), 17, "this SQL cannot be parsed"),
            (
                SELECT.replace("FROM per_currency", "FROM per_currency\nWHERE currency = AND"),
                21,
                "this SQL cannot be parsed",
            ),
            (SELECT.replace("commission_due, commission)", "commission_due)"), 19, "share(part, whole) is given 1"),
            (SELECT.replace("    commission_by_state()", "    1 AS commission"), 1, "does not call"),
        ],
    )
    def test_a_mistake_is_told_with_the_line_of_the_file(self, select: str, line: int, said: str) -> None:
        conversions = HEADER.replace("macros: [share, commission_by_state]\n", "") + "SELECT 1 AS currency"
        with pytest.raises(SqlFileError, match=rf"^sql/owed\.sql:{line}: .*{re.escape(said)}"):
            sort_by_dependency([parse(HEADER + select, "sql/owed.sql"), parse(conversions, "sql/conversions.sql")])

    def test_each_macro_is_called_by_more_than_one_file(self) -> None:
        checks = load_checks(list_tables(summary.name for summary in all_summaries()))
        headers = [*(summary.header for summary in all_summaries()), *(check.file.header for check in checks)]
        calls = [name for header in headers for name in header.macros]
        assert {name for name in MACROS if calls.count(name) < 2} == set()


class TestDivisions:
    @pytest.mark.parametrize(
        ("call", "amount", "expected"),
        [
            ("average(amount, 3)", "100", D("33.3333")),
            # In floating point these are 33333333333333.3312 and 17636684144620.8096.
            ("average(amount, 3)", "99999999999999.9999", D("33333333333333.3333")),
            ("average(amount, 7)", "123456789012345.6789", D("17636684144620.8113")),
            ("average(amount, 0)", "1", None),
            ("share(amount, 3)", "1", D("0.333333")),
            ("share(amount, amount)", "0", None),
            ("rate(amount, 3)", "2000000", D("666666.666667")),
            ("rate(amount - 3, amount + 2)", "1", D("-0.666667")),
        ],
    )
    def test_a_quotient_is_exact(
        self, books: WarehouseBuilder, call: str, amount: str, expected: Decimal | None
    ) -> None:
        select = f"SELECT {call} AS quotient FROM (SELECT CAST('{amount}' AS DECIMAL(38, 4)) AS amount) AS a"
        text, _ = expand(select, MACROS, [call.partition("(")[0]])
        assert books.warehouse.query(text) == [(expected,)]

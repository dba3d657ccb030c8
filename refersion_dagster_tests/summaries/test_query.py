"""A summary's file: what is read from it, and which mistakes are told, each with file and line."""

import re

import pytest

from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.query import Summary, load_summaries, parse, sort_by_dependency
from refersion_dagster.warehouse.sql_file import SqlFileError

HEADER = """/*
group: owed
description: What is owed.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
questions:
  - What do we owe?
columns:
  owed: Commission.
*/
"""
SELECT = """SELECT
  currency,
  sum(commission_total) AS owed
FROM refersion_data.conversions
GROUP BY currency
"""
PATH = "sql/owed.sql"


def file(select: str = SELECT, header: str = HEADER) -> str:
    return header + select


class TestReading:
    def test_the_header_says_what_the_table_is(self) -> None:
        header = parse(file(), PATH).header
        assert (header.description, header.grain, header.primary_key) == (
            "What is owed.",
            "one row per currency",
            ["currency"],
        )
        assert (header.owners, header.questions, header.columns) == (
            ["team:data"],
            ["What do we owe?"],
            {"owed": "Commission."},
        )

    def test_the_table_is_named_after_the_file_and_has_the_selects_columns(self) -> None:
        summary = parse(file(), PATH)
        assert (summary.name, summary.columns) == ("owed", ("currency", "owed"))

    def test_the_select_is_kept_as_written_with_the_line_it_begins_on(self) -> None:
        summary = parse(file("\n\n" + SELECT + ";\n"), PATH)
        assert summary.file.select == SELECT.strip() + "\n" or summary.file.select == SELECT.strip()
        assert summary.file.line == 14

    def test_it_depends_on_each_table_it_reads_once_and_not_on_its_own_parts(self) -> None:
        select = (
            "WITH part AS (SELECT * FROM refersion_data.conversions), conversions AS (SELECT * FROM part)\n"
            "SELECT c.currency, c.owed FROM conversions AS c\n"
            "JOIN refersion_data.conversions AS again ON TRUE\n"
            "JOIN refersion_data.payments AS p ON TRUE JOIN refersion_summaries.other AS o ON TRUE\n"
            "WHERE c.currency IN (SELECT currency FROM refersion_data.offers)"
        )
        other = parse(file(), "sql/other.sql")
        assert set(sort_by_dependency([parse(file(select), PATH), other])[1].depends_on) == {
            ("refersion_data", "conversions"),
            ("refersion_data", "payments"),
            ("refersion_data", "offers"),
            ("refersion_summaries", "other"),
        }

    def test_comments_and_semicolons_in_texts_are_no_statements(self) -> None:
        select = "-- What is owed; a comment.\nSELECT currency, ';' AS owed FROM refersion_data.conversions"
        assert parse(file(select), PATH).columns == ("currency", "owed")

    def test_a_union_is_a_select_too(self) -> None:
        select = "SELECT 'a' AS currency, 1 AS owed UNION ALL SELECT 'b', 2"
        assert parse(file(select), PATH).columns == ("currency", "owed")

    def test_the_summaries_of_the_package_are_all_read(self) -> None:
        assert "commission_by_affiliate" in [summary.name for summary in load_summaries()]

    @pytest.mark.parametrize("summary", load_summaries(), ids=lambda summary: summary.name)
    def test_each_summary_of_the_package_describes_every_column(self, summary: Summary) -> None:
        assert set(summary.columns) == summary.header.columns.keys()


class TestMistakes:
    @pytest.mark.parametrize(
        ("text", "line", "said"),
        [
            (SELECT, 1, "the file has to begin with a header"),
            ("SELECT 1;\n" + file(), 1, "the file has to begin with a header"),
            ("/*\ndescription: never ends\n" + SELECT, 1, "the file has to begin with a header"),
            ("*/\n" + SELECT + "/*", 1, "the file has to begin with a header"),
            (file(header="/*\nWhat is owed.\n*/\n"), 1, "the header is not a list of `name: value` lines"),
            (file(header="/* */\n"), 1, "the header is not a list of `name: value` lines"),
            (file(header=HEADER.replace("[team:data]", "[team:data")), 7, "the header is not valid YAML"),
            (file(header=HEADER.replace("grain: one", "grain: one: two")), 4, "the header is not valid YAML"),
            (file(header=HEADER.replace("grain:", "grian:")), 1, "grian"),
            (file(header=HEADER.replace("grain: one row per currency\n", "")), 1, "grain: Field required"),
            (file(header=HEADER.replace("questions:\n  - What do we owe?", "questions: []")), 1, "questions"),
            (file(header=HEADER.replace("[currency]", "[]")), 1, "primary_key"),
            (file(header=HEADER.replace("[currency]", "currency")), 1, "primary_key"),
            (file(header=HEADER.replace("[currency]", "[affiliate]")), 1, "primary_key names affiliate"),
            (file(header=HEADER.replace("owed:", "due:")), 1, "columns names due"),
            (file(SELECT + "; SELECT 1"), 12, "the file has to contain exactly one SELECT"),
            (file("DROP TABLE refersion_data.conversions"), 12, "the file has to contain exactly one SELECT"),
            (file("CREATE TABLE t AS SELECT 1 AS currency"), 12, "the file has to contain exactly one SELECT"),
            (file(""), 12, "the file has to contain exactly one SELECT"),
            (file("SELECT currency,\n  sum(\nFROM refersion_data.conversions"), 14, "this SQL cannot be parsed"),
            (file("SELECT 'currency AS owed"), 12, "this SQL cannot be parsed"),
            (
                file(SELECT.replace("refersion_data.conversions", "refersion_data.conversoins")),
                15,
                "there is no table refersion_data.conversoins",
            ),
            (file(SELECT.replace("refersion_data.", "")), 15, "conversions is not a table of refersion_data"),
            (file(SELECT.replace("refersion_data.", "main.")), 15, "main.conversions is not a table of refersion_data"),
            (file(SELECT.replace("FROM", "FROM read_csv('x.csv') AS x,")), 15, "not a table of refersion_data"),
        ],
    )
    def test_each_is_told_with_file_line_and_reason(self, text: str, line: int, said: str) -> None:
        with pytest.raises(SqlFileError, match=f"^{re.escape(PATH)}:{line}: .*{re.escape(said)}"):
            sort_by_dependency([parse(text, PATH)])


class TestOrder:
    @staticmethod
    def reading(name: str, *others: str) -> Summary:
        joins = "".join(f" CROSS JOIN {SUMMARIES}.{other}" for other in others)
        select = f"SELECT currency, 1 AS owed FROM refersion_data.conversions{joins}"
        return parse(file(select), f"sql/{name}.sql")

    def test_each_comes_after_those_it_reads(self) -> None:
        given = [self.reading("a", "b", "c"), self.reading("b", "c"), self.reading("c"), self.reading("d", "a")]
        assert [summary.name for summary in sort_by_dependency(given)] == ["c", "b", "a", "d"]

    def test_one_that_does_not_exist_is_told_with_the_file_that_reads_it(self) -> None:
        with pytest.raises(SqlFileError, match=r"^sql/a\.sql:12: there is no table refersion_summaries\.missing;"):
            sort_by_dependency([self.reading("a", "missing")])

    def test_a_circle_is_told_with_those_that_are_in_it_and_no_others(self) -> None:
        given = [self.reading("a", "b"), self.reading("b", "a"), self.reading("c"), self.reading("after", "a")]
        with pytest.raises(SqlFileError, match=r"in a cycle: a, b\.$"):
            sort_by_dependency(given)

    def test_one_that_reads_itself_is_a_circle(self) -> None:
        with pytest.raises(SqlFileError, match=r"in a cycle: a\.$"):
            sort_by_dependency([self.reading("a", "a")])

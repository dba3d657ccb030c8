"""Mistakes in own files and folders: each is reported with file, line and reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from refersion_dagster.code_location import build_definitions, check_own_files
from refersion_dagster.settings import InvalidSetting, Settings
from refersion_dagster.summaries.extensions import Extensions, find_extensions
from refersion_dagster.warehouse.registry import DIALECTS
from refersion_dagster.warehouse.sql_file import SqlFileError
from refersion_dagster_tests.extensions.sql_files import (
    AT,
    CHECK,
    CHECK_AT,
    SELECT,
    SUMMARY,
    SqlFolders,
    check,
    summary,
)
from refersion_dagster_tests.location import REPOSITORY

OTHER = SELECT.replace("refersion_summaries.conversions", "refersion_summaries.{}")
UNKNOWN = """\
WITH found AS (SELECT commission AS amount, currency FROM refersion_summaries.conversions)
SELECT f.currency, sum(f.amount) AS due
FROM found AS f
WHERE f.commission > 0
GROUP BY f.currency
"""


@pytest.fixture
def files(tmp_path: Path) -> SqlFolders:
    return SqlFolders(tmp_path)


def refused(files: SqlFolders, **more: str) -> str:
    with pytest.raises(SqlFileError) as error:
        build_definitions(files.settings(**more))
    return str(error.value).replace(f"{files.folder}/", "")


class TestSummaries:
    @pytest.mark.parametrize(
        ("text", "line", "said"),
        [
            (SELECT, 1, "the file has to begin with a header"),
            (summary(header=SUMMARY.replace("grain:", "grian:")), 1, "grian: Extra inputs are not permitted"),
            (summary(header=SUMMARY.replace("team:finance", "finance")), 1, "'finance' is not an e-mail address or a"),
            (summary(header=SUMMARY.replace("/*", "/*\ngroup: My sales")), 1, "group: String should match pattern"),
            (summary(header=SUMMARY.replace("  due: due", "  due: owed")), 1, "sums names owed; available measures"),
            (summary("DROP TABLE refersion_data.conversions"), AT, "exactly one SELECT and no other statement"),
            (summary(f"{SELECT}; SELECT 1 AS one"), AT, "exactly one SELECT and no other statement"),
            (
                summary(f"WITH gone AS (DELETE FROM refersion_data.conversions RETURNING id)\n{SELECT}"),
                AT,
                "exactly one SELECT and no other statement",
            ),
            (summary("SELECT 'EUR' AS currency, 1 AS due INTO other"), AT, "exactly one SELECT and no other statement"),
            (summary("SELECT currency,\n  sum(\nFROM conversions"), AT + 2, "this SQL cannot be parsed"),
            (summary("SELECT *\nFROM refersion_summaries.conversions"), AT, "has to name its columns, instead of *"),
            (summary(SELECT.replace(" AS due", "")), AT, "has no name; add AS and a name"),
            (summary(SELECT.replace(" AS due", ' AS "Due"')), AT, "Due is not a name of a column"),
            (summary(SELECT.replace("currency,", "currency,\n  currency,", 1)), AT + 1, "two columns currency"),
            (summary(OTHER.format("convs")), AT + 1, "there is no table refersion_summaries.convs; available are"),
            (summary(SELECT.replace("refersion_summaries.", "")), AT + 1, "conversions is not a table of"),
            (summary(SELECT.replace("commission_state", "its_state")), AT, "Column 'its_state' could not be resolved"),
            (summary(UNKNOWN), AT + 3, "Unknown column: commission"),
            (summary(SELECT.replace("'due'", "$states")), 1, "there is no setting $states; available are"),
            (summary(OTHER.format("own_due")), AT + 1, "depend on each other in a cycle: own_due"),
        ],
    )
    def test_a_mistake_is_reported_with_file_line_and_reason(
        self, files: SqlFolders, text: str, line: int, said: str
    ) -> None:
        files.write({"own_due": text})
        assert re.match(rf"summaries/own_due\.sql:{line}: .*{re.escape(said)}", refused(files))

    def test_a_file_that_is_not_text_is_reported_with_its_line(self, files: SqlFolders) -> None:
        files.write({"own_due": summary()})
        path = files.path("summaries", "own_due")
        path.write_bytes(path.read_bytes().replace(b"team:finance", b"team:\xe9"))
        assert refused(files) == "summaries/own_due.sql:5: the file is not UTF-8 text."

    def test_all_files_are_reported_together(self, files: SqlFolders) -> None:
        files.write({"a": SELECT, "b": summary(), "c": summary("SELECT 1")})
        assert [line.split(" ")[0] for line in refused(files).splitlines()] == [
            "summaries/a.sql:1:",
            f"summaries/c.sql:{AT}:",
        ]

    def test_a_cycle_of_several_is_reported_where_one_reads_the_next(self, files: SqlFolders) -> None:
        files.write({"a": summary(OTHER.format("b")), "b": summary(OTHER.format("a"))})
        said = f"summaries/a.sql:{AT + 1}: these summaries depend on each other in a cycle: a, b."
        assert refused(files) == said

    @pytest.mark.parametrize("name", ["Own", "2nd", "own-due", "_own", "o" * 51])
    def test_a_name_that_no_table_can_have_is_refused(self, files: SqlFolders, name: str) -> None:
        files.write({name: summary()})
        assert refused(files).startswith(f"summaries/{name}.sql:1: {name} is not a valid name.")

    def test_the_name_of_a_shipped_summary_is_refused(self, files: SqlFolders) -> None:
        files.write({"commission_daily": summary()})
        said = "summaries/commission_daily.sql:1: commission_daily is already the name of a shipped summary. "
        assert refused(files).startswith(said)

    def test_two_files_with_one_name_are_refused(self, files: SqlFolders) -> None:
        files.write({"finance/own_due": summary(), "sales/own_due": summary()})
        assert refused(files).startswith(
            "summaries/sales/own_due.sql:1: own_due is already the name of summaries/finance/own_due.sql."
        )

    def test_hidden_files_and_other_files_are_left_out(self, files: SqlFolders) -> None:
        """Kubernetes mounts a folder with hidden copies."""
        files.write({"own_due": summary(), "..data/own_due": summary(), ".draft": "SELECT"})
        files.path("summaries").joinpath("notes.md").write_text("Notes.")
        (found,) = find_extensions(files.settings()).summaries
        assert found.path == str(files.path("summaries", "own_due"))

    @pytest.mark.parametrize(
        ("destination", "text", "line", "said"),
        [
            (
                "bigquery",
                SELECT.replace("sum(", "\n  median("),
                1,
                "uses Median, which was never tested in the dialect",
            ),
            ("snowflake", SELECT.replace("sum(", "\n  strange("), 1, "strange()"),
            ("databricks", SELECT.replace("DECIMAL(38, 4)", "FLOAT"), 0, "DataType FLOAT"),
            (
                "redshift",
                "SELECT currency, 1 AS due\nFROM refersion_summaries.currencies\nWHERE place IS TRUE",
                2,
                "Redshift lacks, or calculates otherwise: IS TRUE or IS FALSE",
            ),
        ],
    )
    def test_sql_without_a_proven_translation_to_the_warehouse_is_refused(
        self, files: SqlFolders, destination: str, text: str, line: int, said: str
    ) -> None:
        files.write({"own_due": summary(text)})
        told = refused(files, REFERSION_DESTINATION=destination)
        assert re.match(rf"summaries/own_due\.sql:(\d+): .*{re.escape(said)}", told)
        assert told.startswith(f"summaries/own_due.sql:{AT + line}:")


class TestChecks:
    @pytest.mark.parametrize(
        ("text", "line", "said"),
        [
            (check(header=CHECK.replace("meaning:", "means:")), 1, "meaning: Field required"),
            (check(table="own_doe"), 1, "there is no asset summaries/own_doe"),
            (check(header=CHECK.replace("summaries/", "report/")), 1, "there is no asset report/own_due"),
            (check("SELECT id\nFROM refersion_data.nothing"), CHECK_AT + 1, "there is no table refersion_data.nothing"),
            (
                check("SELECT due\nFROM refersion_summaries.own_due\nWHERE owed > 0"),
                CHECK_AT + 2,
                "'owed' could not be",
            ),
            (check("SELECT *\nFROM refersion_summaries.own_due"), CHECK_AT, "has to name its columns, instead of *"),
            (
                check("SELECT due FROM refersion_summaries.own_due WHERE currency = $not_offered"),
                1,
                "there is no setting $not_offered",
            ),
            (
                check(
                    "SELECT currency\nFROM refersion_summaries.own_due",
                    table="conversions",
                    header=CHECK.replace("*/", "blocking: true\n*/"),
                ),
                CHECK_AT + 2,
                "this blocking check of summaries/conversions reads summaries/own_due, which is built from",
            ),
        ],
    )
    def test_a_mistake_is_reported_with_file_line_and_reason(
        self, files: SqlFolders, text: str, line: int, said: str
    ) -> None:
        files.write({"own_due": summary()}, {"own_check": text})
        assert re.match(rf"checks/own_check\.sql:{line}: .*{re.escape(said)}", refused(files))

    @pytest.mark.parametrize("name", ["payments_proven", "primary_key", "sums_preserved", "accepted_values"])
    def test_the_name_of_a_shipped_check_is_refused(self, files: SqlFolders, name: str) -> None:
        files.write({"own_due": summary()}, {name: check()})
        assert refused(files).startswith(f"checks/{name}.sql:1: {name} is already the name of a shipped check.")


class TestFolders:
    @pytest.mark.parametrize("variable", ["REFERSION_SUMMARIES_PATH", "REFERSION_CHECKS_PATH"])
    def test_one_that_does_not_exist_is_refused(self, tmp_path: Path, variable: str) -> None:
        with pytest.raises(InvalidSetting, match=rf"^{variable}: there is no folder {tmp_path}/sql\. Create it"):
            build_definitions(Settings.of({variable: str(tmp_path / "sql")}))

    def test_an_account_with_a_prefix_has_the_name_of_its_own_variable(self, tmp_path: Path) -> None:
        settings = Settings.of({"EU_REFERSION_SUMMARIES_PATH": str(tmp_path / "sql")}, "EU_")
        with pytest.raises(InvalidSetting, match=r"^EU_REFERSION_SUMMARIES_PATH: there is no folder"):
            build_definitions(settings)

    def test_one_without_files_adds_nothing(self, tmp_path: Path) -> None:
        assert find_extensions(Settings.of({"REFERSION_SUMMARIES_PATH": str(tmp_path)})) == Extensions()


def test_the_examples_of_the_documentation_are_valid_in_every_warehouse(files: SqlFolders) -> None:
    page = (REPOSITORY / "docs" / "own-sql.md").read_text("utf-8")
    one, other = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    files.write({"due_by_country": one}, {"due_is_plausible": other})
    build_definitions(files.settings())
    for dialect in DIALECTS.values():
        check_own_files(find_extensions(files.settings()), dialect)

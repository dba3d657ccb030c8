"""`refersion-dagster new-summary` and `check-sql`: own files from nothing to a proof, without an account."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from refersion_dagster.checks.extensions import load_own_checks
from refersion_dagster.cli import main
from refersion_dagster.code_location import build_definitions
from refersion_dagster.doctor.inputs import find_inputs
from refersion_dagster.doctor.settings import check_variables
from refersion_dagster.extensions.evaluation import SqlResult, evaluate_checks, evaluate_summaries
from refersion_dagster.extensions.trial import TRANSLATED
from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import load_settings
from refersion_dagster.summaries.extensions import find_extensions, join_summaries
from refersion_dagster.summaries.query import Summary, select_summaries
from refersion_dagster.warehouse.registry import DIALECTS
from refersion_dagster_tests.extensions.sql_files import (
    AT,
    CHECK_AT,
    NEGATIVE,
    SELECT,
    SqlFolders,
    check,
    summary,
)
from refersion_dagster_tests.location import (
    GRAPHQL,
    REST,
    Location,
    MakeOnce,
    account_of,
    load_small,
    materialise,
    query,
)
from refersion_dagster_tests.postgres import PostgresDatabase
from refersion_dagster_tests.processes import soon

ENV_FILE = "REFERSION_SUMMARIES_PATH=sql/summaries\nREFERSION_CHECKS_PATH=sql/checks\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlFolders:
    """A folder whose `.env` names the folders of own files, as the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(ENV_FILE)
    folders = SqlFolders(tmp_path / "sql")
    for kind in ("summaries", "checks"):
        folders.path(kind).mkdir(parents=True)
    return folders


@pytest.fixture
def built(made_once: MakeOnce, tmp_path: Path) -> Warehouse:
    return Warehouse(duckdb_path=str(shutil.copy(made_once("everything_built", load_small), tmp_path)))


def call(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def own_summaries(files: SqlFolders) -> list[Summary]:
    extensions = find_extensions(files.settings())
    return [one for one in join_summaries(extensions.summaries) if one.file.path in extensions.paths]


def evaluated(files: SqlFolders, warehouse: Warehouse) -> dict[str, SqlResult]:
    """The results of own files, by name, on built summaries."""
    extensions = find_extensions(files.settings())
    checks = load_own_checks(extensions.checks, join_summaries(extensions.summaries))
    with warehouse.session() as session:
        results = [*evaluate_summaries(session, own_summaries(files), TRANSLATED)]
        results += evaluate_checks(session, checks, TRANSLATED)
    return {result.name: result for result in results}


class TestNewSummary:
    def test_it_writes_a_summary_and_a_check_that_pass(self, project: SqlFolders, built: Warehouse) -> None:
        ended = call("new-summary", "by_currency", "--check")
        assert ended.exit_code == 0, ended.output
        written = [project.path("summaries", "by_currency"), project.path("checks", "by_currency_complete")]
        assert ended.output.splitlines()[:2] == [f"Created {path}" for path in written]
        found = evaluated(project, built)
        assert {name: (one.rows, one.errors, one.refusals, one.unproven) for name, one in found.items()} == {
            "summaries/by_currency": (3, [], {}, {}),
            "checks/by_currency_complete": (0, [], {}, {}),
        }
        loaded = build_definitions(load_settings())
        assert "summaries/by_currency" in {key.to_user_string() for key in loaded.resolve_all_asset_keys()}

    def test_the_check_fails_if_a_currency_is_missing(self, project: SqlFolders, built: Warehouse) -> None:
        call("new-summary", "by_currency", "--check")
        path = project.path("summaries", "by_currency")
        path.write_text(path.read_text().replace("GROUP BY", "WHERE currency <> 'EUR' GROUP BY"))
        found = evaluated(project, built)
        assert found["checks/by_currency_complete"].rows == 1

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["2nd"], "2nd is not a valid name"),
            (["Sales"], "Sales is not a valid name"),
            (["s" * 42, "--check"], "and may have 41 of them"),
            (["conversions"], "conversions is the name of a shipped summary. Choose another name."),
            (["there"], "there.sql exists already."),
            (["fresh", "--check"], "fresh_complete.sql exists already."),
        ],
    )
    def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(
        self, project: SqlFolders, words: list[str], said: str
    ) -> None:
        project.write({"sales/there": summary()}, {"fresh_complete": check()})
        ended = call("new-summary", *words)
        assert ended.exit_code == 1
        assert said in ended.output
        assert sorted(path.stem for path in project.folder.rglob("*.sql")) == ["fresh_complete", "there"]

    def test_without_a_folder_it_says_which_setting_to_add(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        ended = call("new-summary", "sales")
        assert ended.exit_code == 1
        assert "REFERSION_SUMMARIES_PATH is not set. Add REFERSION_SUMMARIES_PATH=sql/summaries to .env" in ended.output


class TestEvaluation:
    def test_what_fails_is_named_with_file_and_line(self, project: SqlFolders, built: Warehouse) -> None:
        project.write(
            {
                "a_wrong_sum": summary(SELECT.replace("'due'", "'paid'")),
                "b_not_unique": summary(SELECT.replace("GROUP BY currency", "GROUP BY currency, affiliate_id")),
                "c_reads_b": summary("SELECT currency, due FROM refersion_summaries.b_not_unique"),
                "d_not_a_number": summary(SELECT.replace("THEN commission", "THEN currency")),
                "e_rounds": summary(SELECT.replace("CAST(sum(", "\n  CAST(round(sum(").replace("END)", "END), 2)")),
            },
            {
                "finds": check("SELECT due FROM refersion_summaries.a_wrong_sum", "a_wrong_sum"),
                "fails": check(
                    "SELECT CAST(currency AS BIGINT) AS x FROM refersion_summaries.currencies", "currencies"
                ),
            },
        )
        found = evaluated(project, built)
        errors = {name: one.errors[0].removeprefix(f"{project.folder}/") for name, one in found.items() if one.errors}
        place = "summaries/{}.sql:{}: "
        for name, begin in {
            "summaries/a_wrong_sum": place.format("a_wrong_sum", AT - 2) + "sums_preserved: due in EUR is ",
            "summaries/b_not_unique": place.format("b_not_unique", AT) + "keys (currency) are missing or duplicated",
            "summaries/c_reads_b": place.format("c_reads_b", 1) + "not built, because b_not_unique failed.",
            "summaries/d_not_a_number": place.format("d_not_a_number", AT) + "the query failed",
            "checks/fails": f"checks/fails.sql:{CHECK_AT}: the query failed: ",
        }.items():
            assert errors.pop(name).startswith(begin)
        assert errors == {}
        assert found["checks/finds"].rows == 3
        rounds = found["summaries/e_rounds"]
        assert rounds.refusals.keys() == {"bigquery", "databricks", "snowflake", "redshift"}
        assert rounds.refusals["bigquery"].startswith(
            f"{project.path('summaries', 'e_rounds')}:{AT + 1}: This SQL uses"
        )
        assert rounds.unproven == {"postgres": ["Round"]}

    @pytest.mark.exhaustive
    def test_postgresql_gives_the_figures_of_duckdb(
        self, project: SqlFolders, account: SandboxServer, built: Warehouse, postgres: PostgresDatabase
    ) -> None:
        project.write({"own_due": summary()}, {"finds": check(NEGATIVE.replace("< 0", "> 0"))})
        server = Warehouse(destination="postgres")
        loaded = materialise(account_of(account), server, *(f"refersion/{table}" for table in (*REST, *GRAPHQL)))
        assert loaded.success, loaded.failure
        extensions = find_extensions(project.settings())
        every = join_summaries(extensions.summaries)
        with server.session() as session:
            results = [*evaluate_summaries(session, select_summaries(["own_due"], every), ())]
            results += evaluate_checks(session, load_own_checks(extensions.checks, every), ())
        assert [one.errors for one in results if one.errors] == []
        assert results[-1].rows == 3
        evaluated(project, built)
        rows = "SELECT currency, due FROM refersion_summaries.own_due ORDER BY currency"
        assert postgres.query(rows) == query(Path(built.duckdb_path), rows)


class TestOtherCommands:
    def test_doctor_names_file_and_line(self, project: SqlFolders) -> None:
        project.write({"own_due": summary("SELECT *\nFROM refersion_summaries.payments")})
        (found,) = [one for one in check_variables(find_inputs(project.settings())) if one.name == "code_location"]
        said = f"Dagster cannot load it: SqlFileError: {project.path('summaries', 'own_due')}:{AT}: the SELECT has to"
        assert found.message.startswith(said)

    @pytest.mark.processes
    @pytest.mark.parametrize(
        "command",
        [
            ("refersion-dagster", "refresh"),
            ("refersion-dagster", "check-sql"),
            ("dagster", "definitions", "validate", "-m", "refersion_dagster.definitions"),
        ],
        ids=lambda words: words[1],
    )
    def test_a_mistake_is_reported_and_nothing_runs(
        self, account: SandboxServer, project: SqlFolders, command: tuple[str, ...]
    ) -> None:
        project.write({"own_due": summary("SELECT currency, owed AS due\nFROM refersion_summaries.conversions")})
        location = Location.of(project.folder.parent, account).with_settings(**project.variables)
        ended = location.run(*command)
        assert ended.code == 1, ended.output
        assert f"{project.path('summaries', 'own_due')}:{AT}: the columns of this SELECT cannot be" in ended.output
        assert "Traceback" not in ended.output
        assert not location.database.exists()


@pytest.mark.processes
class TestCheckSql:
    def test_it_tries_everything_without_an_account_and_without_the_users_warehouse(self, project: SqlFolders) -> None:
        location = Location.of(project.folder.parent)
        assert location.run("refersion-dagster", "new-summary", "by_currency", "--check").code == 0
        ended = location.run("refersion-dagster", "check-sql", "--dialect", "all")
        assert ended.code == 0, ended.output
        assert "Trying 1 summary and 1 check on the sandbox's account" in ended.output
        lines = [line.split() for line in ended.output.splitlines()]
        assert ["file", "rows", *dict.fromkeys(dialect.name for dialect in DIALECTS.values())] in lines
        assert ["summaries/by_currency", "3", *"✓✓✓✓✓✓"] in lines
        assert ["checks/by_currency_complete", "0", *"✓✓✓✓✓✓"] in lines
        assert "All passed, in " in ended.output
        assert not location.database.exists()
        assert list(Path(location.environment["TMPDIR"]).iterdir()) == []

    def test_what_fails_decides_the_exit_code(self, project: SqlFolders) -> None:
        project.write({"own_rounds": summary(SELECT.replace("sum(", "round(sum(").replace("END)", "END), 2)"))})
        location = Location.of(project.folder.parent).with_settings(**project.variables)
        usual = location.run("refersion-dagster", "check-sql")
        assert usual.code == 0, usual.output
        assert "! postgres: summaries/own_rounds uses Round, which no test has executed" in usual.output
        needed = location.with_settings(REFERSION_DESTINATION="bigquery").run("refersion-dagster", "check-sql")
        assert needed.code == 1
        assert f"✗ bigquery: sql/summaries/own_rounds.sql:{AT}: This SQL uses Round" in needed.output
        assert "1 file failed, in " in needed.output

    def test_ctrl_c_ends_it_and_leaves_nothing(self, project: SqlFolders) -> None:
        project.write({"own_due": summary()})
        location = Location.of(project.folder.parent).with_settings(**project.variables)
        folder = Path(location.environment["TMPDIR"])
        process = location.start("refersion-dagster", "check-sql")
        assert soon(lambda: any(folder.glob("refersion_*/refersion.duckdb")), 60, 0.2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        assert output.splitlines()[-1] == "Interrupted."
        assert list(folder.glob("refersion_*")) == []

    def test_without_files_it_says_what_to_do(self, tmp_path: Path) -> None:
        ended = Location.of(tmp_path).run("refersion-dagster", "check-sql")
        assert ended.code == 1
        assert "There is nothing to try: " in ended.output
        assert "refersion-dagster new-summary" in ended.output

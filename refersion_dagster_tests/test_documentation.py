"""Every asset and every check tells its story in Dagster, without a database opened: held against all there are."""

import re

import dagster as dg
import pytest

from refersion_dagster.definitions import defs
from refersion_dagster.documentation import CHECKOUT, LAYERS
from refersion_dagster_tests.location import REPOSITORY

SPECS = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
GRAPH = defs.get_repository_def().asset_graph
CHECKS = {f"{key.asset_key.to_user_string()}: {key.name}": GRAPH.get_check_spec(key) for key in GRAPH.asset_check_keys}
TABLES = [name for name in SPECS if name.split("/")[0] not in ("published", "report")]
# Those that Dagster has a picture for, or that need none.
KINDS = {"dlt", "rest", "graphql", "webhook", "sql", "duckdb", "parquet", "html", "csv"}


def test_there_are_assets_of_every_kind() -> None:
    assert {name.split("/")[0] for name in SPECS} == set(LAYERS)
    assert len(SPECS) > 50
    assert len(CHECKS) > 60


@pytest.mark.parametrize("name", sorted(SPECS))
class TestEachAsset:
    def test_says_what_it_is_in_a_sentence(self, name: str) -> None:
        words = (SPECS[name].description or "").partition("\n\n**Answers**")[0]
        assert words[:1].isupper()
        assert words.rstrip("`").rstrip()[-1] in ".:" or "**Grain:**" in words
        assert len(words.split()) >= 10

    def test_begins_with_a_line_that_is_read_without_markdown(self, name: str) -> None:
        """The catalogue and the graph show it as it is written."""
        assert not re.search(r"[`*\[\]]", (SPECS[name].description or "").splitlines()[0])

    def test_says_which_questions_it_answers(self, name: str) -> None:
        _, found, questions = (SPECS[name].description or "").partition("**Answers**\n")
        assert found
        lines = questions.strip().splitlines()
        assert lines
        for line in lines:
            assert re.fullmatch(r"- [A-Z].{14,}\?", line), line

    def test_has_owners_kinds_a_group_and_a_layer(self, name: str) -> None:
        spec = SPECS[name]
        assert spec.owners
        assert spec.kinds
        assert spec.kinds <= KINDS
        assert spec.group_name not in (None, "default")
        assert spec.tags["layer"] == LAYERS[name.split("/")[0]][0]

    def test_leads_to_a_file_of_the_documentation(self, name: str) -> None:
        found = SPECS[name].metadata["documentation"]
        assert isinstance(found, dg.PathMetadataValue)
        path = (REPOSITORY / (found.value or "").removeprefix(f"{CHECKOUT}/")).resolve()
        assert path.is_file()
        assert path.is_relative_to(REPOSITORY)
        # The file knows the asset, or at least what it is about.
        about = [name.split("/")[1], name.split("/")[0], SPECS[name].group_name or ""]
        assert any(word.lower() in path.read_text("utf-8").lower() for word in about)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_each_table_names_its_place_its_key_and_its_columns(name: str) -> None:
    metadata = SPECS[name].metadata
    schema = metadata["dagster/column_schema"]
    columns = schema.schema.columns if isinstance(schema, dg.TableSchemaMetadataValue) else schema.columns
    assert all(column.description for column in columns)
    assert set(metadata["primary_key"].split(", ")) <= {column.name for column in columns}
    assert re.fullmatch(r"refersion_(data|summaries)\.\w+", metadata["dagster/table_name"])


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_each_check_says_what_holds_and_what_it_means_where_it_does_not(name: str) -> None:
    description = CHECKS[name].description or ""
    holds, otherwise, means = description.partition("Otherwise")
    assert otherwise, description
    assert len(holds.split()) >= 6, description
    assert holds.rstrip().endswith("."), description
    assert len(means.split()) >= 3, description
    assert means.rstrip().endswith("."), description


def test_every_job_schedule_and_sensor_says_what_it_does() -> None:
    repository = defs.get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    for one in (*jobs, *repository.schedule_defs, *repository.sensor_defs):
        assert len((one.description or "").split()) >= 6, one.name

"""The source in plain dlt pipelines: destinations that can and cannot merge, settings, and money in data frames."""

from pathlib import Path

import dlt
import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.pipeline.pipeline import Pipeline

from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.errors import CannotMerge, MissingCredentials, find_cause
from refersion_dagster.resources import RefersionResource
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import AccountSettings
from refersion_dagster_tests.refersion.plain_dlt import DltsWarehouse, Warehouse, arguments, read, source

UPSERT = {"disposition": "merge", "strategy": "upsert"}


@pytest.fixture
def lake(tmp_path: Path) -> Pipeline:
    """A pipeline that writes Parquet files to a folder."""
    destination = dlt.destinations.filesystem(str(tmp_path / "lake"))
    return dlt.pipeline("lake", destination=destination, dataset_name="files", pipelines_dir=str(tmp_path / "dlt"))


def table(pipeline: Pipeline, name: str) -> pa.Table:
    return pa.concat_tables(pipeline.dataset()[name].iter_arrow(10_000))


def refused(pipeline: Pipeline, *args: object, **options: object) -> CannotMerge:
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(*args, **options)  # pyright: ignore[reportArgumentType]
    error = find_cause(caught.value)
    assert isinstance(error, CannotMerge), error
    return error


def test_a_destination_that_would_append_is_refused_before_anything_is_read(
    sandbox: SandboxServer, lake: Pipeline, tmp_path: Path
) -> None:
    error = refused(lake, source(sandbox), loader_file_format="parquet")
    assert "the destination filesystem cannot merge" in str(error)
    assert "destination='duckdb'" in str(error)
    assert "refersion_source(full_reload=True, all_details=True), write_disposition='replace'" in str(error)
    assert sandbox.requests() == {}
    assert not list((tmp_path / "lake").rglob("*.parquet"))


@pytest.mark.exhaustive
def test_loading_everything_in_place_of_what_is_there_works_as_the_error_says(
    sandbox: SandboxServer, lake: Pipeline
) -> None:
    for _ in range(2):
        everything = refersion_source(**arguments(sandbox, full_reload=True, all_details=True))
        lake.run(everything, write_disposition="replace", loader_file_format="parquet")
        sums = sandbox.sums()
        conversions = table(lake, "conversions")
        assert conversions.num_rows == sums["number_of_conversions"]
        amounts = [row.commission_total for row in sandbox.account.conversions.values()]
        assert sum(conversions.column("commission_total").to_pylist()) == sum(amounts)
        assert [table(lake, name).num_rows for name in ("payments", "affiliate_get")] == [
            sums["payments"],
            sums["affiliates"],
        ]
        sandbox.advance(days=40)


def test_a_table_format_that_can_only_upsert_is_refused_until_it_is_told_to(
    sandbox: SandboxServer, lake: Pipeline
) -> None:
    error = refused(lake, source(sandbox, "offers"), table_format="delta")
    assert str(UPSERT) in str(error)
    lake.extract(source(sandbox, "offers"), table_format="delta", write_disposition=UPSERT)  # pyright: ignore[reportArgumentType]


def test_appending_on_purpose_and_reading_into_no_destination_are_not_in_the_way(
    sandbox: SandboxServer, lake: Pipeline
) -> None:
    lake.run(source(sandbox, "offers"), write_disposition="append", loader_file_format="parquet")
    assert table(lake, "offers").num_rows == 4
    assert read(sandbox, "offers").num_rows == 4


def test_money_stays_decimal_in_arrow_and_becomes_float_in_pandas(sandbox: SandboxServer, tmp_path: Path) -> None:
    warehouse = DltsWarehouse(tmp_path)
    warehouse.load(sandbox, "conversions")
    pipeline = warehouse.pipeline()
    conversions = pipeline.dataset().conversions
    arrow = conversions.arrow()
    assert arrow.schema.field("commission_total").type == pa.decimal128(18, 4)
    assert arrow.num_rows == sandbox.sums()["number_of_conversions"] == table(pipeline, "conversions").num_rows
    commissions = [row.commission_total for row in sandbox.account.conversions.values()]
    assert sum(arrow.column("commission_total").to_pylist()) == sum(commissions)
    frame = conversions.df()
    assert frame["commission_total"].dtype == "float64"
    assert len(frame) == arrow.num_rows
    pipeline.deactivate()


@pytest.fixture
def variables(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The sandbox in this project's variables."""
    for name, value in arguments(sandbox, retry_seconds=None).items():
        monkeypatch.setenv(AccountSettings.variable(name), value)
    return monkeypatch


def test_what_neither_the_call_nor_dlt_knows_comes_from_the_variables(
    sandbox: SandboxServer, warehouse: Warehouse, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv("REFERSION_PII", "drop")
    variables.setenv("REFERSION_ROWS_PER_LOAD", "1")  # without the report, a caller would stop after a month
    variables.setenv("REFERSION_PUBLIC_KEY", "pub_of_nobody_at_all")
    variables.setenv("SOURCES__REFERSION_SOURCE__PUBLIC_KEY", sandbox.public_key)
    pipeline = warehouse.pipeline()
    pipeline.run(refersion_source().with_resources("affiliate_list", "conversions"), loader_file_format="parquet")
    pipeline.deactivate()
    assert warehouse.count("conversions") == sandbox.sums()["number_of_conversions"]
    assert warehouse.count("affiliate_list") == sandbox.sums()["affiliates"]
    assert warehouse.rows("conversions", "max(customer__email)", order="1") == [(None,)]


def test_a_variable_that_is_set_is_not_said_to_be_missing(warehouse: Warehouse, variables: pytest.MonkeyPatch) -> None:
    variables.delenv("REFERSION_SECRET_KEY")
    pipeline = warehouse.pipeline()
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(refersion_source().with_resources("affiliate_list"))
    pipeline.deactivate()
    error = find_cause(caught.value)
    assert isinstance(error, MissingCredentials)
    assert "but REFERSION_SECRET_KEY is not set." in str(error)
    assert "REFERSION_PUBLIC_KEY" not in str(error)


def test_a_resource_is_one_account_whatever_the_variables_say(
    sandbox: SandboxServer, variables: pytest.MonkeyPatch
) -> None:
    del variables
    resource = RefersionResource(public_key=sandbox.public_key, api_key=sandbox.secret_key, rest_url=sandbox.rest_url)
    with pytest.raises(Exception, match="requires a token") as caught:
        list(resource.source(ReadReport()).with_resources("conversions"))
    assert isinstance(find_cause(caught.value), MissingCredentials)

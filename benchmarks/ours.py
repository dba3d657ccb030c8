"""This project's conversions resource, through a dlt pipeline into DuckDB, merged on the id."""

from datetime import UTC, datetime
from pathlib import Path

import dlt
import pyarrow as pa

from benchmarks.database import DATASET, database_path
from benchmarks.rows import SPAN_START
from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.environment import PIPELINE
from refersion_dagster.settings import AccountSettings
from refersion_dagster.warehouse.duckdb.destination import open_destination


def run(graphql_url: str, rows: int, directory: Path, concurrency: int) -> None:
    """First load of `rows` conversions from the start of the benchmark's span into an empty `directory`."""
    _load(graphql_url, directory, concurrency)


def run_again(graphql_url: str, rows: int, directory: Path, concurrency: int) -> None:
    """Refresh after `run` in the same `directory` with nothing new at the source, looking back 120 days of the 730."""
    _load(graphql_url, directory, concurrency)


def _load(graphql_url: str, directory: Path, concurrency: int) -> None:
    pa.set_memory_pool(pa.system_memory_pool())  # as the plain pipeline does
    report = ReadReport()
    with open_destination(str(database_path(directory))) as destination:
        pipeline = dlt.pipeline(
            PIPELINE,
            destination=destination,
            dataset_name=DATASET,
            pipelines_dir=str(directory / "pipelines"),
        )
        while True:
            source = refersion_source(
                graphql_token="any",  # noqa: S106 - the benchmark's server ignores it
                graphql_url=graphql_url,
                start_date=datetime.fromtimestamp(SPAN_START, UTC).isoformat(),
                max_concurrency=concurrency,
                rows_per_load=AccountSettings.default("rows_per_load"),
                report=report,
            )
            pipeline.run(source.with_resources("conversions"), loader_file_format="parquet")
            if not report.more:
                return

"""What BigQuery bills for statements, as the jobs that ran them report it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from refersion_dagster.usage.meter import Usage
from refersion_dagster.warehouse.bigquery.google import google_client

# How long to ask for the list of jobs. After a load that could not reach it, Google's client would try for ten minutes.
SECONDS = 60


def usage_of(job: Any) -> Usage:
    """The usage of a query job that succeeded. Failed ones are not billed."""
    billed = job.total_bytes_billed
    if billed is None:
        return Usage(statements=1, unpriced=1)
    return Usage(statements=1, priced=1, bytes_billed=billed, slot_milliseconds=job.slot_millis or 0)


def usage_of_loads(client: Any, began: datetime, datasets: tuple[str, ...]) -> Usage:
    """The usage of dlt's statements since a moment, from the list of this user's own jobs.

    dlt sends its statements with one of its datasets as the default, which those of sessions do not have. Load jobs are
    free. https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs/list

    Args:
        client: Google's client.
        datasets: names of dlt's datasets.
    """
    retry = google_client().DEFAULT_RETRY.with_timeout(SECONDS)
    jobs = client.list_jobs(min_creation_time=began, state_filter="done", retry=retry, timeout=SECONDS)
    return sum((usage_of(job) for job in jobs if _is_of_load(job, datasets)), Usage())


def _is_of_load(job: Any, datasets: tuple[str, ...]) -> bool:
    """Whether dlt sent the job, and it succeeded."""
    if job.job_type != "query" or job.error_result:
        return False
    return job.default_dataset is not None and job.default_dataset.dataset_id in datasets

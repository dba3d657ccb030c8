"""Retries of a load while Refersion's status page reports an outage.

A step is otherwise tried three times within minutes. During an outage that is too early to give up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from refersion_dagster.ingest.loader import TablesNotLoaded
from refersion_dagster.refersion.errors import RefersionError
from refersion_dagster.resources import RefersionResource

# Up to about three hours: each attempt also spends REFERSION_RETRY_SECONDS on retries of its requests.
WAIT_SECONDS = 600
MOST_ATTEMPTS = 12


@contextmanager
def waits_for_outage(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, refersion: RefersionResource
) -> Iterator[None]:
    """Requests another attempt of the step if Refersion does not answer and its status page reports an outage.

    Errors that cannot pass, and errors without a reported outage, are left to the step's retry policy.
    """
    try:
        yield
    except (RefersionError, TablesNotLoaded) as error:
        page = refersion.status_page()
        if not error.may_pass or page is None or context.retry_number >= MOST_ATTEMPTS:
            raise
        summary = page.read()
        if summary.unknown:
            context.log.info(f"Refersion's status is unknown: {summary.unknown}.")
        if not summary.is_outage:
            raise
        context.log.warning(
            f"{summary} Trying again in {WAIT_SECONDS // 60} minutes, up to {MOST_ATTEMPTS} times while the page "
            f"reports an outage."
        )
        raise dg.RetryRequested(max_retries=MOST_ATTEMPTS, seconds_to_wait=WAIT_SECONDS) from error

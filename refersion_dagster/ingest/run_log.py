"""Shows the source's own log in the log of the run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg


@contextmanager
def source_log_shown(log: dg.DagsterLogManager) -> Iterator[None]:
    """Forwards the source's log (progress, retries, windows read again) to a run's log."""

    class RunLogHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.log(record.levelno, record.getMessage())

    logger, handler = logging.getLogger("refersion_dagster.refersion"), RunLogHandler(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)

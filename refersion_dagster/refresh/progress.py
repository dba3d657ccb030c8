"""Progress of a run: log lines and, on a terminal, a progress bar below them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dagster import DagsterEventType
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from refersion_dagster.automation.incidents import reason_of
from refersion_dagster.records import new_log, seconds_to_retry
from refersion_dagster.terminal import Sign, print_signed

if TYPE_CHECKING:
    import dagster as dg

POLL_SECONDS = 0.3
# Log lines with this prefix name the table being read and are shown in the bar, not printed.
READING = "Reading "
# Dagster's message about steps that were not run; the summary counts them.
NOT_RUN = "Dependencies for step"
ENDED = (DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_SKIPPED)


@contextmanager
def followed(console: Console, instance: dg.DagsterInstance, run_id: str, steps: int) -> Iterator[None]:
    """Shows the progress of a run of this process inside the `with`.

    Args:
        steps: number of its steps.
    """
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    ]
    bar = Progress(*columns, console=console, transient=True, expand=True, disable=not console.is_terminal)
    done = threading.Event()
    with bar:
        shown = _RunDisplay(console, bar, bar.add_task("Starting", total=steps), instance, run_id)
        follower = threading.Thread(target=shown.follow, args=(done,), name="progress")
        follower.start()
        try:
            yield
        finally:
            done.set()
            follower.join()


class _RunDisplay:
    """Follows the records of one run."""

    def __init__(
        self, console: Console, bar: Progress, task: TaskID, instance: dg.DagsterInstance, run_id: str
    ) -> None:
        self.console, self.bar, self.task, self.instance, self.run_id = console, bar, task, instance, run_id
        self.cursor: str | None = None

    def follow(self, done: threading.Event) -> None:
        while not done.wait(POLL_SECONDS):
            self.catch_up()
        self.catch_up()

    def catch_up(self) -> None:
        entries, self.cursor = new_log(self.instance, self.run_id, self.cursor)
        for entry in entries:
            self.show_event(entry)

    def show_event(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            self.show_log(entry.level, entry.user_message)
        elif event.event_type is DagsterEventType.STEP_START:
            self.describe(str(event.step_key).replace("__", "/"))
        elif event.event_type is DagsterEventType.STEP_UP_FOR_RETRY:
            wait = seconds_to_retry(entry)
            again = f"retried in {wait:.0f} s" if wait else "retried"
            print_signed(self.console, Sign.DOUBT, f"{event.step_key}: {again}. {reason_of(entry)}")
        elif event.event_type in ENDED:
            self.bar.advance(self.task)

    def show_log(self, level: str | int, text: str) -> None:
        if text.startswith(READING):
            self.describe(text)
        elif not text.startswith(NOT_RUN):
            severity = logging.getLevelName(level) if isinstance(level, str) else level
            sign = Sign.BAD if severity >= logging.ERROR else Sign.DOUBT if severity >= logging.WARNING else Sign.GOOD
            print_signed(self.console, sign, text)

    def describe(self, text: str) -> None:
        self.bar.update(self.task, description=text)

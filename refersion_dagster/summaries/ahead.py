"""Building summaries ahead of their steps: the database works on one while Dagster writes down the one before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from heapq import heappop, heappush
from threading import Lock
from types import TracebackType

from sqlglot.errors import SqlglotError

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.build import build_beside, translated
from refersion_dagster.summaries.query import Summary
from refersion_dagster.warehouse import Session, beside
from refersion_dagster.warehouse.sql import Value

# Between two attempts to end a statement, which may be one that is about to begin.
INTERRUPT_SECONDS = 0.05


class BuildAhead:
    """The builds of one run: one at a time, in a thread and a session of their own.

    A summary is built beside the table there is as soon as the tables it reads are in their places, and stays there
    until its own step asks for it. So nothing takes a table's place before Dagster says so, which waits for blocking
    checks; a summary whose step never comes, as one of those failed, is dropped at the end of the run. An error of a
    build is raised in the summary's own step, and only there.

    Its methods are for the one thread that runs the steps.

    Args:
        summaries: those of which this process runs the steps, in their order; of what can be built the first is next.
        values: the settings, from ReportSettings.parameters().
        loading: raw tables that this run loads, all in one step.
    """

    def __init__(
        self, warehouse: Warehouse, summaries: Sequence[Summary], values: Mapping[str, Value], loading: Collection[str]
    ) -> None:
        self._warehouse = warehouse
        self._values = values
        self._loading = frozenset(loading)
        self._to_start = {summary.name: summary for summary in summaries}
        self._not_in_place = set(self._to_start)
        self._started: dict[str, Future[str]] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="summaries")
        self._closing = False
        self._lock = Lock()
        self._places = {summary.name: place for place, summary in enumerate(summaries)}
        self._queued: list[tuple[int, Summary, Future[str]]] = []
        self._selects: dict[str, str | None] = {}
        self._connection = ExitStack()
        self._session: Session | None = None

    def __enter__(self) -> BuildAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def built(self, summary: Summary) -> str:
        """Waits until the summary is built beside the table there is; see build_beside.

        To be called by its step: that this one runs means that Dagster has seen what it stands on loaded and checked.
        """
        if any(schema == DATASET and table in self._loading for schema, table in summary.depends_on):
            self._loading = frozenset()
        if summary.name not in self._started:
            self._start(summary)
        self._start_what_can_be()
        self._translate_until(self._started[summary.name])
        wait([self._started[summary.name]])  # one that is interrupted is left to close()
        return self._started.pop(summary.name).result()

    def in_place(self, summary: Summary) -> None:
        """Says that the summary is in its place, so that what reads it can be built."""
        self._not_in_place.discard(summary.name)
        self._start_what_can_be()

    def close(self) -> None:
        """Ends what is under way, and drops what no step asked for."""
        with self._lock:
            self._closing = True
        started, self._started = self._started, {}
        for future in started.values():
            future.cancel()
        while wait(started.values(), timeout=INTERRUPT_SECONDS).not_done:
            with self._lock:
                if self._session:
                    self._session.interrupt()
        self._worker.shutdown()
        self._disconnect()
        if left := [name for name, future in started.items() if not future.cancelled()]:
            with self._warehouse.session() as session:
                session.create_schema(SUMMARIES)  # where the first build did not come that far
                for name in left:
                    session.native(f"DROP TABLE IF EXISTS {SUMMARIES}.{beside(name)}")

    def _start_what_can_be(self) -> None:
        for summary in list(self._to_start.values()):
            if self._can_be_built(summary):
                self._start(summary)

    def _translate_until(self, built: Future[str]) -> None:
        """Translates what cannot be built yet: the database would wait for it later, and here is time to wait."""
        for summary in self._to_start.values():
            with self._lock:
                session = self._session
            if built.done() or session is None:
                return
            if summary.name not in self._selects:
                with suppress(SqlglotError):  # which is for its own step, where it comes again
                    self._selects[summary.name] = translated(session, summary, self._values)

    def _can_be_built(self, summary: Summary) -> bool:
        # A load sets the whole DuckDB file to little memory, which a build should not have to do with.
        return not self._loading and not any(
            schema == SUMMARIES and table in self._not_in_place for schema, table in summary.depends_on
        )

    def _start(self, summary: Summary) -> None:
        self._to_start.pop(summary.name, None)
        built: Future[str] = Future()
        self._started[summary.name] = built
        with self._lock:
            heappush(self._queued, (self._places[summary.name], summary, built))
        self._worker.submit(self._build_next)

    def _build_next(self) -> None:
        """Builds the first of what waits."""
        with self._lock:
            _, summary, built = heappop(self._queued)
        if not built.set_running_or_notify_cancel():
            return
        try:
            built.set_result(self._build(summary))
        except BaseException as error:  # noqa: BLE001 - raised in the summary's own step
            built.set_exception(error)

    def _build(self, summary: Summary) -> str:
        with self._lock:
            if self._closing:
                raise RuntimeError("Nothing more is built, as the run ends.")
        try:
            built = build_beside(self._connected(), summary, self._values, self._selects.get(summary.name))
        except BaseException:
            self._disconnect()  # which may be why it failed
            raise
        with self._lock:
            is_last = not self._queued
        if is_last:  # none stays idle: servers close such ones
            self._disconnect()
        return built

    def _connected(self) -> Session:
        """The connection that builds which follow each other share."""
        if self._session is None:
            session = self._connection.enter_context(self._warehouse.session())
            with self._lock:
                self._session = session
        return self._session

    def _disconnect(self) -> None:
        with self._lock:
            self._session = None
        self._connection.close()

"""What a load reads again: late months, rows missing from their window, and differing totals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from refersion_dagster.ingest.control_totals.hidden_tests import find_hidden_tests
from refersion_dagster.ingest.control_totals.settlement import find_paid_months, has_new_payments, settle_totals
from refersion_dagster.ingest.history.conversions import TABLE, update_history
from refersion_dagster.ingest.history.missing_rows import absent_conversions
from refersion_dagster.ingest.history.readings import keep_counted_months
from refersion_dagster.ingest.late_arrivals.counts import Counts
from refersion_dagster.ingest.late_arrivals.months import LateMonth, late_months, spans
from refersion_dagster.ingest.table_loads import CONVERSIONS, PAYMENTS, TOTALS, TableLoads
from refersion_dagster.refersion import ReadReport
from refersion_dagster.refersion.windows import Window, months, next_month, subtract_windows

# Finding a row can reveal a gap elsewhere, which shows where the next one is.
MOST_SEARCHES = 3
# Dates can also be edited to the future.
AHEAD = timedelta(days=365)


class FollowUp:
    """The steps that follow the loads of a run, in the same run."""

    def __init__(self, loads: TableLoads) -> None:
        self.loads = loads
        self.warehouse = loads.warehouse
        self.log = loads.context.log
        self.counts = Counts(loads.refersion, loads.warehouse)
        self.late: list[LateMonth] = []

    def load_late_months(self, with_totals: bool) -> None:
        """Reads months before the look-back again if they must have changed, and then their totals.

        Otherwise a light refresh of a few days would compare Refersion's latest totals of a month with only the last
        days of that month.
        """
        upto = self.loads.report.table(CONVERSIONS).read_to
        if upto is None:
            return
        before = upto - self.loads.lookback
        differ = self._other_counts(before) if self.loads.is_refresh else {}
        late = late_months(self.warehouse, before, differ)
        if not late:
            return
        self.log.info(f"Changes outside the look-back window; reloading {', '.join(map(str, late))}")
        again = spans(late, self.loads.earliest(), upto)
        for table in (CONVERSIONS, TOTALS) if with_totals else (CONVERSIONS,):
            self.loads.load([table], ReadReport(), again)
        self.late = late
        if differ:
            self.counts.keep(list(differ))

    def settle_absent(self) -> None:
        """Searches for conversions missing from the windows just read, marks those that no longer exist, and records
        these windows as read.

        If counts are reliable, they show where to find rows that moved to another time. Without them, everything not
        read in this run has to be searched; a light refresh or a run over a span leaves that to the next complete
        refresh, and its windows do not count as read.
        """
        if self._find_absent():
            added = update_history(self.warehouse, self.loads.read)
            if added:
                self.log.info(f"{TABLE}: {added:,} changes added for deleted conversions")

    def _find_absent(self) -> bool:
        """Loads missing conversions that moved to another time. False if it is not known where the others are."""
        absent = absent_conversions(self.warehouse, self.loads.read)
        for _ in range(MOST_SEARCHES):
            if not absent:
                break
            end = max(span.end for span in self.loads.read)
            everything = Window(self.loads.earliest(), end + AHEAD)
            elsewhere = subtract_windows(everything, (span.window for span in self.loads.read))
            if self.counts.verify(self.loads.read):
                windows = list(self.counts.find_differences(elsewhere, end))
            elif self.loads.is_refresh or self.loads.request.full_reload:
                windows = elsewhere
            else:
                self.log.info(f"{absent:,} conversions are missing where they were; the next refresh searches for them")
                return False
            if not windows:
                break
            self.log.info(f"Searching elsewhere for {absent:,} conversions that are missing where they were")
            self.loads.load([CONVERSIONS], ReadReport(), windows)
            absent = absent_conversions(self.warehouse, self.loads.read)
        return True

    def find_hidden_tests(self) -> None:
        """Finds the tests of an account that does not say which conversions are tests."""
        report = self.loads.report.table(CONVERSIONS)
        lacks = "is_test_conversion" in report.fields_missing and not self.loads.report.table(TOTALS).not_offered
        if not lacks or not self.loads.read:
            return
        account = self.loads.refersion.account()
        try:
            upto = max(min(span.end, span.read_at) for span in self.loads.read)
            unknown = find_hidden_tests(self.warehouse, account.rest, upto, self.log.info)
        finally:
            account.close()
        report.warnings = [f"This account does not say which conversions are tests. {unknown}"] if unknown else []

    def settle(self, tables: set[str]) -> None:
        """Reads differences again before they count, because the shop may have changed between the reads."""
        upto = max((span.end for span in self.loads.read), default=None)
        if upto is None:
            return
        earliest = self.loads.earliest()
        read = {month.start.date().replace(day=1) for span in self.loads.read for month in months(span.window)}

        def reload_months(starts: Sequence[datetime]) -> None:
            again = spans([LateMonth(start) for start in starts], earliest, upto)
            for table in (CONVERSIONS, TOTALS):
                if again and table in tables:
                    self.loads.load([table], ReadReport(), again)
            self.settle_absent()

        payments_read_at = self.loads.report.table(PAYMENTS).asked_at
        if PAYMENTS in tables and payments_read_at and self.loads.is_refresh:
            if has_new_payments(self.warehouse, payments_read_at):
                self.log.info("Payments were made while conversions were read: reading payments again")
                self.loads.load([PAYMENTS], ReadReport())
            if months_paid := find_paid_months(self.warehouse, upto):
                self.log.info("Payments were made since conversions were read: reading conversions again")
                reload_months(months_paid)
        if TOTALS in tables:
            settle_totals(self.warehouse, self.log.info, reload_months, None if self.loads.is_refresh else read)

    def _other_counts(self, before: datetime) -> dict[Window, int]:
        """Months before the look-back in which Refersion's counts of conversions differ from the loaded rows.

        Whole months, as far as they were read, so that each night compares the same months.
        """
        earliest, upto = self.loads.earliest(), max(span.end for span in self.loads.read)
        if earliest >= before or not self.counts.verify(self.loads.read):
            return {}
        window = Window(earliest, min(next_month(before), upto))
        differ = self.counts.find_differences([window], upto)
        if self.counts.by_status:
            others = {month.start for month in differ}
            keep_counted_months(self.warehouse, [one for one in months(window) if one.start not in others], upto)
        self.log.info(f"Compared counts of conversions outside the look-back window, {self.counts.requests:,} requests")
        return differ

"""The notebook's queries of the published copies, which can be read at any time without a lock."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import duckdb

from refersion_dagster.report.file_sets import current_set
from refersion_dagster.report.publish import CURRENT, DATABASE, MANIFEST, download_set
from refersion_dagster.report.storage import Folder, StorageError, open_folder
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.rounding import format_amount
from refersion_dagster.settings import OutputSettings
from refersion_dagster.settings.selection import select_settings

Row = dict[str, Any]

TOP = """
SELECT
  coalesce(max(a.name), max(c.affiliate_name), c.affiliate_id) AS affiliate,
  c.affiliate_id AS id,
  count(CASE WHEN c.is_sale AND c.counts_for_affiliate THEN 1 END) AS orders,
  sum(CASE WHEN c.is_sale AND c.counts_for_affiliate THEN c.total ELSE 0 END) AS sales,
  sum(CASE WHEN c.commission_state = 'pending' THEN c.commission ELSE 0 END) AS pending,
  sum(CASE WHEN c.commission_state = 'due' THEN c.commission ELSE 0 END) AS due,
  sum(CASE WHEN c.commission_state = 'paid' THEN c.commission ELSE 0 END) AS paid
FROM conversions AS c
LEFT JOIN affiliates AS a ON a.affiliate_id = c.affiliate_id
WHERE c.currency = $currency AND c.booked_month BETWEEN $first AND $last
GROUP BY c.affiliate_id
ORDER BY sales DESC, c.affiliate_id
LIMIT $most
"""
OVER_TIME = """
SELECT month, orders, sales, commission_of_orders_made AS commission, is_complete
FROM commission_monthly
WHERE currency = $currency AND month BETWEEN $first AND $last
ORDER BY month
"""
OWED = """
SELECT
  coalesce(affiliate_name, affiliate_id) AS affiliate,
  affiliate_id AS id,
  due,
  due_0_30_days AS "0-30 days",
  due_31_60_days AS "31-60",
  due_61_90_days AS "61-90",
  due_over_90_days AS "over 90",
  credits_not_set_off AS "credits",
  pending,
  coalesce(block_reason, '') AS "blocked by"
FROM commission_liability
WHERE currency = $currency
ORDER BY due DESC, affiliate_id
"""
COHORTS = """
SELECT cohort_month, affiliates, months_since, active_share
FROM affiliate_cohorts
WHERE currency = $currency AND cohort_month BETWEEN $first AND $last
ORDER BY cohort_month, months_since
"""


class NothingPublished(Exception):
    """The folder has no published copies; the message says how to create them."""


def describe_missing(folder: Folder) -> str | None:
    """Returns what to do if nothing is published in the folder or a bucket is out of reach; None if it has copies."""
    try:
        if current_set(folder / CURRENT) is not None:
            return None
    except StorageError as error:
        return str(error)
    return (
        f"Nothing is published in {folder.resolve()} yet. Run the job refersion_refresh (or `refersion-dagster "
        f"demo` for a generated account), or set {OutputSettings.variable('publish_path')} to the folder of the copies."
    )


class PublishedCopies:
    """The current set of published copies, open for reading.

    Args:
        folder: REFERSION_PUBLISH_PATH.

    Raises NothingPublished, or StorageError for a bucket.
    """

    def __init__(self, folder: Folder) -> None:
        # Open the set itself, not the link, so that a newly published set does not change what is shown.
        found = current_set(folder / CURRENT)
        if found is None:
            raise NothingPublished(describe_missing(folder))
        self._copied, self.folder = download_set(found)
        self.manifest = json.loads((self.folder / MANIFEST).read_text("utf-8"))
        self._connection = duckdb.connect(str(self.folder / DATABASE), read_only=True)
        self._connection.execute(f"SET TimeZone = 'UTC'; SET search_path = '{SUMMARIES}'")

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection for custom SQL. Each summary is a table with its name."""
        return self._connection

    def query(self, sql: str, **values: Any) -> list[Row]:
        """Returns rows as dicts by column name. Amounts are exact decimals."""
        found = self._connection.execute(sql, values or None)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def currencies(self) -> list[str]:
        """Returns the currencies: the account's own first, then by name."""
        return [row["currency"] for row in self.query("SELECT currency FROM currencies ORDER BY place")]

    def months(self) -> list[date]:
        """Returns the first day of each month with figures, in order."""
        return [row["month"] for row in self.query("SELECT DISTINCT month FROM commission_monthly ORDER BY month")]

    def top_affiliates(self, currency: str, first: date, last: date, most: int) -> list[Row]:
        """Returns the affiliates with the highest sales in these months."""
        return self.query(TOP, currency=currency, first=first, last=last, most=most)

    def over_time(self, currency: str, first: date, last: date) -> list[Row]:
        """Returns orders, sales and commission of each month."""
        return self.query(OVER_TIME, currency=currency, first=first, last=last)

    def owed(self, currency: str) -> list[Row]:
        """Returns what is due to each affiliate now, by days since approval."""
        return self.query(OWED, currency=currency)

    def cohorts(self, currency: str, first: date, last: date) -> list[Row]:
        """Returns a row for each month of first sales, with the share of affiliates still selling, by months since."""
        found = self.query(COHORTS, currency=currency, first=first, last=last)
        later = {f"+{number}": "" for number in sorted({row["months_since"] for row in found})}
        by_month: dict[date, Row] = {}
        for row in found:
            begun = {"first sale": row["cohort_month"], "affiliates": row["affiliates"], **later}
            of_month = by_month.setdefault(row["cohort_month"], begun)
            of_month[f"+{row['months_since']}"] = f"{format_amount(row['active_share'] * 100, 0)} %"
        return list(by_month.values())


def published_folder(outputs: OutputSettings | None = None, account: str | None = None) -> Folder:
    """Returns the folder of the copies from these settings; None means this process's settings, as in the notebook.

    Args:
        account: whose settings of this process; None for the usual account.

    Raises InvalidSetting, or StorageNotSet if the package or the credentials of a bucket are missing.
    """
    if outputs is None:
        settings = select_settings(account)
        settings.check([OutputSettings.variable("publish_path")])
        outputs = settings.outputs
    return open_folder(outputs.publish_path)


def without_links(text: str) -> str:
    """Prevents marimo from turning a URL in a name into a link, because names are untrusted input."""
    return text.replace("://", ":\N{ZERO WIDTH SPACE}//").replace("www.", "www\N{ZERO WIDTH SPACE}.")

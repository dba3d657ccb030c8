"""A plain dlt pipeline over Refersion's APIs: REST API source, declared columns, merge on the key, Parquet.

It writes the raw tables that the summaries read, with their names and types. Run it with `python -m
benchmarks.refresh.plain_load`, with the address in the variables REFERSION_… and the database file as argument.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.extract.resource import DltResource
from dlt.sources.helpers import requests
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import EndpointResource

from benchmarks.contract import CONVERSIONS_QUERY
from benchmarks.database import DATASET
from benchmarks.plain_rest_api import graphql_resource
from benchmarks.refresh.dbt_project import MEMORY_LIMIT
from refersion_dagster.ingest.history import schemas
from refersion_dagster.refersion.tables.arrow import dlt_columns
from refersion_dagster.refersion.tables.catalog import (
    CONVERSION_STATUSES,
    ENTITIES,
    NO_CURRENCY,
    PAYMENT_STATUSES,
    Kind,
)
from refersion_dagster.refersion.tables.privacy import normalise
from refersion_dagster.refersion.windows import Window, months

QUERIES = {
    "conversions": CONVERSIONS_QUERY,
    "payments": """
query ($created_from: Int, $first: Int, $offset: Int) {
  payments(created_from: $created_from, first: $first, offset: $offset) {
    id created commission_total total currency total_conversions payment_method note affiliate { id name email }
    shop { name }
  }
  pageInfo { total_results { payments } }
}
""",
    "affiliates": """
query ($first: Int, $offset: Int) {
  affiliates(first: $first, offset: $offset) {
    id status name first_name last_name email rfsn_parameter paypal_email country offer { commission type }
  }
  pageInfo { total_results { affiliates } }
}
""",
    "offers": """
query ($first: Int, $offset: Int) {
  offers(first: $first, offset: $offset) { id name commission type flat_rate_currency cookie_days commission_terms }
  pageInfo { total_results { offers } }
}
""",
    "clicks": """
query ($created_from: Int, $first: Int, $offset: Int) {
  clicks(created_from: $created_from, first: $first, offset: $offset) {
    id created affiliate_id offer_id referer landed_url ip sub_id creative_id
  }
}
""",
}
REST_PAGE_SIZE = 100
# The history after a first load: each conversion is new, and everything was read once.
HISTORY = f"""
CREATE OR REPLACE TABLE {DATASET}.conversion_history AS
SELECT id, read_at AS seen_at, 'new' AS change, status, payment_status, total, commission_total, currency, updated,
  affiliate_id, coalesce(payment_id, payment__id) AS payment_id, CAST(NULL AS TIMESTAMPTZ) AS seen_before
FROM {DATASET}.conversions
"""
READINGS = f"""
CREATE OR REPLACE TABLE {DATASET}.conversion_readings AS
SELECT DISTINCT read_at, CAST('{{start}}' AS TIMESTAMPTZ) AS read_from, read_at + INTERVAL 1 SECOND AS read_to,
  'read' AS proven_by, '(all)' AS currency
FROM {DATASET}.conversions
"""


class Account:
    """Addresses, headers and clock of the account."""

    def __init__(self) -> None:
        self.rest_url, self.graphql_url = os.environ["REFERSION_REST_URL"], os.environ["REFERSION_GRAPHQL_URL"]
        self.salt = os.environ["REFERSION_PII_SALT"]
        self.start = datetime.fromisoformat(os.environ["REFERSION_START_DATE"]).replace(tzinfo=UTC)
        self.rest_headers = {
            "Refersion-Public-Key": os.environ["REFERSION_PUBLIC_KEY"],
            "Refersion-Secret-Key": os.environ["REFERSION_SECRET_KEY"],
        }
        self.graphql_headers = {"X-Refersion-Key": os.environ["REFERSION_GRAPHQL_TOKEN"]}
        answer = requests.post(f"{self.rest_url}/affiliate/list", json={"limit": "1"}, headers=self.rest_headers)
        self.now = parsedate_to_datetime(answer.headers["Date"])

    def totals(self, month: Window, status: str, payment_status: str) -> dict[str, Any]:
        """Refersion's totals for one month."""
        body = {
            "created_from": f"{month.start:%Y-%m-%d %H:%M:%S}",
            "created_to": f"{month.end - timedelta(seconds=1):%Y-%m-%d %H:%M:%S}",
            "status": [status],
            "payment_status": payment_status,
        }
        answer = requests.post(f"{self.rest_url}/conversion/totals", json=body, headers=self.rest_headers)
        answer.raise_for_status()
        return answer.json()

    def preparation(self, table: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Converts a row for storage: Unix seconds as numbers, hashes of personal values, and the time of reading."""
        columns = ENTITIES[table].columns
        times = [column.path for column in columns if column.kind is Kind.TIMESTAMP]
        personal = [column.path for column in columns if column.personal]

        def prepare(row: dict[str, Any]) -> dict[str, Any]:
            for *objects, name in times:
                place = _object(row, objects)
                if place and place.get(name):
                    place[name] = int(place[name])
            for *objects, name in personal:
                if place := _object(row, objects):
                    place[name] = self.digest(place.get(name))
            if table == "affiliates":
                row["email_hash"], row["paypal_email_hash"] = map(self.digest, (row["email"], row["paypal_email"]))
            elif table == "affiliate_get":
                row["affiliate_code"] = row["link"].rpartition("/")[2]
            elif table == "clicks":
                row["click_key"] = row["id"]
            row["read_at"] = self.now
            return row

        return prepare

    def digest(self, value: str | None) -> str | None:
        text = normalise(value)
        return hashlib.sha256(f"{self.salt}{text}".encode()).hexdigest() if text else None


def _object(row: dict[str, Any], names: list[str]) -> dict[str, Any] | None:
    found: Any = row
    for name in names:
        found = found and found.get(name)
    return found


def rest_resources() -> list[str | EndpointResource | DltResource]:
    """The list of affiliates, and the details of each affiliate."""
    return [
        {
            "name": "affiliate_list",
            "endpoint": {
                "path": "affiliate/list",
                "method": "POST",
                "json": {"limit": str(REST_PAGE_SIZE)},
                "data_selector": "results",
                "paginator": {
                    "type": "page_number",
                    "base_page": 1,
                    "page_body_path": "page",
                    "total_path": None,
                    "stop_after_empty_page": True,
                },
            },
        },
        {
            "name": "affiliate_get",
            "parallelized": True,
            "endpoint": {
                "path": "affiliate/get",
                "method": "POST",
                "json": {"affiliate_code": "{resources.affiliate_list.id}"},
                "data_selector": "$",
                "paginator": "single_page",
            },
        },
    ]


def totals_resource(account: Account) -> DltResource:
    """Refersion's own totals by month, status and payment status."""

    @dlt.resource(name="conversion_totals")
    def conversion_totals() -> Iterator[dict[str, Any]]:
        for month in months(Window(account.start, account.now + timedelta(seconds=1))):
            for status in CONVERSION_STATUSES:
                for payment_status in PAYMENT_STATUSES:
                    yield {
                        **account.totals(month, status, payment_status),
                        "granularity": "month",
                        "period_from": month.start,
                        "period_to": month.end - timedelta(seconds=1),
                        "status": status,
                        "payment_status": payment_status,
                        "currency_asked": False,
                        "read_at": account.now,
                    }

    def amounts(row: dict[str, Any]) -> dict[str, Any]:
        for name, value in row.items():
            if isinstance(value, str) and name.endswith(("_total", "_count")):
                row[name] = value.replace(",", "")
        row["currency"] = row.get("currency") or NO_CURRENCY
        return row

    return conversion_totals.add_map(amounts)


def load(database: Path, folder: Path) -> None:
    account = Account()
    graphql = rest_api_source(
        {
            "client": {"base_url": account.graphql_url.removesuffix("/graphql"), "headers": account.graphql_headers},
            "resources": [
                graphql_resource("/graphql", name, query, {"created_from": int(account.start.timestamp())})
                for name, query in QUERIES.items()
            ],
        },
        name="refersion_graphql",
    )
    rest = rest_api_source(
        {"client": {"base_url": account.rest_url, "headers": account.rest_headers}, "resources": rest_resources()},
        name="refersion_rest",
    )
    tables = {**graphql.resources, **rest.resources, "conversion_totals": totals_resource(account)}
    for name, resource in tables.items():
        entity = ENTITIES[name]
        if name != "conversion_totals":
            resource.add_map(account.preparation(name))
        resource.apply_hints(
            primary_key=list(entity.primary_key), write_disposition="merge", columns=dlt_columns(entity)
        )
    with duckdb.connect(str(database), config={"memory_limit": MEMORY_LIMIT}) as connection:
        pipeline = dlt.pipeline(
            "plain_refersion",
            pipelines_dir=str(folder / "pipelines"),
            destination=dlt.destinations.duckdb(connection),
            dataset_name=DATASET,
        )
        pipeline.run([*tables.values()], loader_file_format="parquet").raise_on_failed_jobs()
        connection.execute(HISTORY)
        connection.execute(READINGS.format(start=account.start.isoformat()))
        # A first load finds no change.
        connection.execute(schemas.CREATE)
        connection.execute(schemas.CREATE_CHANGES)


if __name__ == "__main__":
    load(Path(sys.argv[1]), Path.cwd())

"""The minimum for any client: downloads the same pages sequentially, parses them, and discards the result."""

from pathlib import Path

import orjson
import requests

from benchmarks.contract import CONVERSIONS_QUERY, PAGE_SIZE
from benchmarks.rows import SPAN_END, SPAN_START


def run(graphql_url: str, rows: int, directory: Path, concurrency: int) -> None:
    """Download and parse `rows` conversions over one keep-alive connection; writes nothing into `directory`."""
    received = 0
    with requests.Session() as session:
        for offset in range(0, rows, PAGE_SIZE):
            variables = {"created_from": SPAN_START, "created_to": SPAN_END, "first": PAGE_SIZE, "offset": offset}
            body = orjson.dumps({"query": CONVERSIONS_QUERY, "variables": variables})
            response = session.post(graphql_url, data=body, headers={"Content-Type": "application/json"})
            response.raise_for_status()
            received += len(orjson.loads(response.content)["data"]["conversions"])
    if received != rows:
        raise RuntimeError(f"read {received} rows of {rows}")

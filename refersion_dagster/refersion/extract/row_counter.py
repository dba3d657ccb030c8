"""Counts the rows of a list without reading them.

pageInfo reports a count, but it is documented as possibly wrong with filters, and not every account has it. Offsets,
which paging uses too, give a reliable count. A list has the expected length if there is a row at the last position and
none behind it, which takes one request. Otherwise the end is found by bisection.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from refersion_dagster.refersion.api.graphql import GraphQLClient, get_announced_count
from refersion_dagster.refersion.api.query import FieldSelection
from refersion_dagster.refersion.extract.page_assembler import Slice

# A list that seems longer than this has a row at every position: the server ignores offsets.
MOST_ROWS = 100_000_000


@dataclass
class RowCounter:
    """Counts rows of one entity of one account.

    Args:
        client: the account's GraphQL API.
        selection: what the account offers of the entity.
    """

    client: GraphQLClient
    selection: FieldSelection
    requests: int = field(default=0, init=False)

    def request_counts(self, slices: Sequence[Slice], _expected: Sequence[int]) -> list[int | None]:
        """The count that pageInfo reports for each slice, in the given order; None if it reports none.

        The count is documented as possibly wrong with filters: compare it with known figures before use.

        Raises as GraphQLClient.execute does.
        """
        name = self.selection.entity.name

        def count(of: Slice) -> int | None:
            return get_announced_count(self.client.execute(build_count(self.selection, of), f"{name} count"), name)

        with self._pool() as pool:
            found = list(pool.map(count, slices))
        self.requests += len(slices)
        return found

    def by_place(self, slices: Sequence[Slice], expected: Sequence[int]) -> list[int | None]:
        """The length of each slice, found by offsets; None if it seems to have no end.

        Args:
            expected: the expected number of rows of each slice. A match takes one request.

        Raises as GraphQLClient.execute does.
        """
        name = self.selection.entity.name
        asked: list[int] = []

        def count(of: tuple[Slice, int]) -> int | None:
            def rows(offset: int, first: int = 1) -> int:
                asked.append(offset)
                query = build_place(self.selection, of[0], offset, first)
                found = self.client.execute(query, f"{name} count").get(name) or []
                return len(found)

            return length(rows, of[1])

        with self._pool() as pool:
            found = list(pool.map(count, zip(slices, expected, strict=True)))
        self.requests += len(asked)
        return found

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.client.transport.throttle.limit, thread_name_prefix="refersion")


def length(rows: Callable[..., int], expected: int) -> int | None:
    """The number of rows in a list. None if it seems to have no end.

    Args:
        rows: returns how many rows there are from an offset on, of the `first` (default 1) requested.
        expected: the likely length, which is tried first.
    """
    last = max(expected - 1, 0)
    found = rows(last, 2 if expected else 1)
    if found == min(expected, 1):
        return expected
    step = 1
    if found == 0:  # The list ends at or before the last position.
        least, most = max(last - step, 0), last
        while least and not rows(least - 1):
            most = least - 1
            step *= 2
            least = max(most - step, 0)
    else:
        least = most = expected + 1
        while rows(most):
            least = most + 1
            most = least + step
            step *= 2
            if most > MOST_ROWS:
                return None
    while least < most:
        middle = (least + most) // 2
        least, most = (middle + 1, most) if rows(middle) else (least, middle)
    return least


def build_count(selection: FieldSelection, one: Slice) -> str:
    """The query for the number of rows of a slice. Bounds are exact: both seconds are inside the slice."""
    name = selection.entity.name
    return f"{{ {name} ({_key_of(one)}, first: 1) {{ id }}, pageInfo {{ total_results {{ {name} }} }} }}"


def build_place(selection: FieldSelection, one: Slice, offset: int, first: int) -> str:
    """The query for ids of a slice from an offset on, with the same bounds as build_count."""
    return f"{{ {selection.entity.name} ({_key_of(one)}, first: {first}, offset: {offset}) {{ id }} }}"


def _key_of(one: Slice) -> str:
    arguments: list[str] = []
    if one.window:
        arguments += [f"created_from: {one.window.start_seconds}", f"created_to: {one.window.end_seconds - 1}"]
    return ", ".join([*arguments, *(f"{name}: {json.dumps(value)}" for name, value in one.filters)])

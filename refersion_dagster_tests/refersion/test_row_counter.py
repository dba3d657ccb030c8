"""Counting the rows of a list by offsets."""

import pytest

from refersion_dagster.refersion.extract.row_counter import length

EXPECTED = [0, 1, 2, 5, 199, 200, 201, 1000]


def counted(there: int, expected: int) -> tuple[int | None, int]:
    """The length found for a list with `there` rows, and the number of requests."""
    asked: list[int] = []

    def rows(offset: int, first: int = 1) -> int:
        asked.append(offset)
        return max(0, min(first, there - offset))

    return length(rows, expected), len(asked)


@pytest.mark.parametrize("expected", EXPECTED)
def test_as_many_rows_as_expected_take_one_request(expected: int) -> None:
    assert counted(expected, expected) == (expected, 1)


@pytest.mark.parametrize("expected", EXPECTED)
@pytest.mark.parametrize("there", [*range(12), 198, 199, 200, 201, 202, 30_000])
def test_any_other_number_is_found_by_halving(there: int, expected: int) -> None:
    found, requests = counted(there, expected)
    assert found == there
    assert requests <= 2 * max(abs(there - expected), 1).bit_length() + 2


def test_a_server_that_ignores_offsets_has_no_length() -> None:
    assert length(lambda _offset, first=1: first, 7) is None

"""How much of the parametrised cases and generated examples `make test` runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def limit_cases(cases: Iterable[Any], kept: int = 1) -> list[Any]:
    """Cases for pytest's parametrize. `make test` runs the first ones, `make test-all` all of them.

    Args:
        cases: values, tuples of values if there are several parameters, or pytest.param.
        kept: how many cases `make test` runs.
    """
    found: list[Any] = []
    for at, case in enumerate(cases):
        one = case if hasattr(case, "marks") else pytest.param(*(case if isinstance(case, tuple) else (case,)))
        found.append(one if at < kept else pytest.param(*one.values, marks=[*one.marks, EXHAUSTIVE], id=one.id))
    return found


EXHAUSTIVE = pytest.mark.exhaustive


def examples(number: int) -> int:
    """Number of Hypothesis examples: all in `make test-all`, a third in `make test`, as its profile defines."""
    return number * settings.get_profile(settings.get_current_profile_name()).max_examples // 100

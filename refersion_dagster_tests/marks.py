"""What `make test` takes of matrices and of generated examples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def heart(cases: Iterable[Any], kept: int = 1) -> list[Any]:
    """Cases for pytest's parametrize, of which `make test` takes the first ones and `make test-all` all.

    Args:
        cases: values; tuples of them, where there are several parameters; or pytest.param.
        kept: how many `make test` takes.
    """
    found: list[Any] = []
    for at, case in enumerate(cases):
        one = case if hasattr(case, "marks") else pytest.param(*(case if isinstance(case, tuple) else (case,)))
        found.append(one if at < kept else pytest.param(*one.values, marks=[*one.marks, EXHAUSTIVE], id=one.id))
    return found


EXHAUSTIVE = pytest.mark.exhaustive


def examples(number: int) -> int:
    """How many examples Hypothesis tries: all in `make test-all`, a third in `make test`, whose profile says so."""
    return number * settings.get_profile(settings.get_current_profile_name()).max_examples // 100

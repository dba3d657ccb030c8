"""Amounts of money in a query, and what is known to equal their currency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from refersion_dagster.errors import ReportedError

# A column of a source (scope, alias, name) or a constant ("", "", text).
Token = tuple[object, str, str]
Tokens = frozenset[Token]


class QueryRefused(ReportedError):
    """A query does something that is not allowed, or cannot be followed. The message says what to change."""


@dataclass(frozen=True)
class ResultAmount:
    """An amount in the result of a scope.

    Args:
        columns: names of result columns that equal its currency.
        tokens: constants, and columns of enclosing queries, that equal it.
        is_unnamed: whether it is an amount whose currency no column names.
    """

    columns: frozenset[str] = frozenset()
    tokens: Tokens = frozenset()
    is_unnamed: bool = False


Result = dict[str, ResultAmount | None]


@dataclass(frozen=True)
class FollowedAmount:
    """An expression that is an amount, with what equals its currency in the same row."""

    tokens: Tokens
    is_unnamed: bool = False


@dataclass
class Equalities:
    """What is known to be equal to what.

    Args:
        always: pairs that are equal in every row.
        matched: pairs that are equal wherever the first is not NULL (the optional side of an outer join).
    """

    always: list[tuple[Token, Token]] = field(default_factory=list)
    matched: list[tuple[Token, Token]] = field(default_factory=list)

    def reach(self, tokens: Iterable[Token]) -> Tokens:
        """Returns everything that equals one of the tokens."""
        found = set(tokens)
        waiting = list(found)
        while waiting:
            one = waiting.pop()
            others = [b for a, b in self.always if a == one] + [a for a, b in self.always if b == one]
            for other in (*others, *(b for a, b in self.matched if a == one)):
                if other not in found:
                    found.add(other)
                    # Everything equals a constant only by way of its own comparison.
                    if other[0] != "":
                        waiting.append(other)
        return frozenset(found)

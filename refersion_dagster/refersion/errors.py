"""What can go wrong with Refersion, as types: each says what happened, where, and what to do next."""

from __future__ import annotations

from refersion_dagster.errors import ReportedError


class RefersionError(ReportedError):
    """Base of every error this source raises on purpose.

    Args:
        what: what happened, in one sentence.
        operation: the REST path or GraphQL root field that was called, if any.
        advice: what the reader can do about it.
        said: the server's own words, if it said any.
        requests: how many requests had been sent to this API when it happened.
    """

    # HTTP status of the answer to a request that changes something; None where there was none.
    status: int | None = None

    def __init__(
        self,
        what: str,
        *,
        operation: str | None = None,
        advice: str | None = None,
        said: str | None = None,
        requests: int | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.operation = operation
        self.advice = advice
        self.said = said
        self.requests = requests

    def __str__(self) -> str:
        parts = [f"{self.operation}: {self.what}" if self.operation else self.what]
        if self.said:
            parts.append(f'Refersion said: "{self.said}".')
        if self.advice:
            parts.append(self.advice)
        if self.requests is not None:
            parts.append(f"({self.requests} requests sent so far)")
        return " ".join(parts)


class MissingCredentials(RefersionError):
    """A key that this part of Refersion needs was not given. No request was sent.

    Args:
        variables: the settings that are absent.
    """

    def __init__(self, what: str, *, variables: tuple[str, ...], advice: str) -> None:
        super().__init__(what, advice=advice)
        self.variables = variables

    @property
    def brief(self) -> str:
        return f"{' and '.join(self.variables)} {'is' if len(self.variables) == 1 else 'are'} not set"


class AnotherAccount(RefersionError):
    """The keys belong to another account than the rows that are in the warehouse. Nothing was written."""


class AnotherSalt(RefersionError):
    """Personal data in the warehouse are hashed with another salt. Nothing was written."""


class CannotMerge(RefersionError):
    """The destination would add all rows that are read again to those that are there. Nothing was read or loaded."""


class UnusableSetting(RefersionError):
    """A setting that makes no sense. Nothing was read or loaded."""


class InvalidCredentials(RefersionError):
    """Refersion refused the keys (HTTP 401, or its GraphQL equivalent)."""


class NotInPlan(RefersionError):
    """The account's plan does not offer what was asked for."""


class RequestRefused(RefersionError):
    """Refersion understood the request and will not do it: 400, 404, 422, an error in a 204, too many items."""


class QueryError(RequestRefused):
    """The server found fault with the query itself. `unknown` holds (type, field) pairs, `arguments` names."""

    unknown: frozenset[tuple[str, str]] = frozenset()
    arguments: frozenset[str] = frozenset()


class ServerUnavailable(RefersionError):
    """The API stayed unreachable or overloaded for as long as the retry budget lasted. Trying later may help."""

    may_pass = True


class AnswerLost(RefersionError):
    """A request that changes something may have been carried out, and its answer is not known. It was not repeated."""


class UnexpectedAnswer(RefersionError):
    """An answer in a shape that no documentation or known client describes."""


class FieldNotOffered(RefersionError):
    """This account's GraphQL schema lacks something without which a table cannot be loaded correctly."""


# What says, finally, that the account does not offer something. Wrong keys, a request that Refersion refuses as it is,
# trouble that may pass and answers nobody understands say nothing of the kind.
NOT_OFFERED = (FieldNotOffered, NotInPlan, MissingCredentials)


class UnreadableValue(RefersionError):
    """A value that cannot be read as what its column holds. Nothing of the table was loaded.

    Args:
        table: the table of the value.
        field: the column, in the table's own naming.
        row: what identifies the row (its id, or its place in the answer).
        value: the value as received (shortened if long, omitted if personal).
        wanted: what the column holds, in words.
    """

    def __init__(self, *, table: str, field: str, row: str, value: object, wanted: str) -> None:
        self.table, self.field, self.row, self.value = table, field, row, value
        shown = value if isinstance(value, str) and value.startswith("<") else repr(value)
        if len(shown) > 120:
            shown = f"{shown[:117]}..."
        super().__init__(
            f"{table}.{field} of row {row} is {shown}, which is not {wanted}.",
            advice="None of this table was loaded. Correct the row in Refersion, or report the new format.",
        )


class WindowNotSettled(RefersionError):
    """Rows kept moving between pages while one time window was read, so it was not loaded rather than loaded short."""

    may_pass = True


def underlying(error: BaseException) -> RefersionError | None:
    """The source's own error, out of those that dlt wraps around it; None when the trouble is another."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, RefersionError):
        reason = reason.__cause__ or reason.__context__
    return reason

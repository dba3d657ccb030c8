"""Typed errors for everything that can go wrong with Refersion. Each says what happened, where, and what to do next."""

from __future__ import annotations

from refersion_dagster.errors import ReportedError


class RefersionError(ReportedError):
    """Base class of every error that this source raises on purpose.

    Args:
        what: what happened, in one sentence.
        operation: the REST path or GraphQL root field that was called, if any.
        advice: what the reader can do about it.
        said: the server's own message, if any.
        requests: the number of requests sent to this API when the error occurred.
    """

    # HTTP status of the response to a request that changes data. None if there was no response.
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
    """A required key is not set. No request was sent.

    Args:
        variables: the missing settings.
    """

    def __init__(self, what: str, *, variables: tuple[str, ...], advice: str) -> None:
        super().__init__(what, advice=advice)
        self.variables = variables

    @property
    def brief(self) -> str:
        return f"{' and '.join(self.variables)} {'is' if len(self.variables) == 1 else 'are'} not set"


class AnotherAccount(RefersionError):
    """The keys belong to another account than the rows in the warehouse. Nothing was written."""


class AnotherSalt(RefersionError):
    """Personal data in the warehouse is hashed with another salt. Nothing was written."""


class CannotMerge(RefersionError):
    """The destination would append rows instead of merging them. Nothing was read or loaded."""


class UnusableSetting(RefersionError):
    """A setting is invalid. Nothing was read or loaded."""


class InvalidCredentials(RefersionError):
    """Refersion refused the keys (HTTP 401, or its GraphQL equivalent)."""


class NotInPlan(RefersionError):
    """The account's plan does not include the requested operation."""


class RequestRefused(RefersionError):
    """Refersion rejected the request: 400, 404, 422, an error in a 204, or too many items."""


class QueryError(RequestRefused):
    """The server rejected the query as invalid. `unknown` holds (type, field) pairs, `arguments` names of arguments."""

    unknown: frozenset[tuple[str, str]] = frozenset()
    arguments: frozenset[str] = frozenset()


class ServerUnavailable(RefersionError):
    """The API stayed unreachable or overloaded until the retry budget ran out. A later attempt may succeed."""

    may_pass = True


class AnswerLost(RefersionError):
    """A request that changes data may have been executed, but its response is unknown. It was not repeated."""


class UnexpectedAnswer(RefersionError):
    """The response has a shape that no documentation or known client describes."""


class FieldNotOffered(RefersionError):
    """The account's GraphQL schema lacks something that a table needs to be loaded correctly."""


# Errors that mean the account does not offer something. Wrong keys, rejected requests, temporary failures and
# unexpected responses do not mean that.
NOT_OFFERED = (FieldNotOffered, NotInPlan, MissingCredentials)


class UnreadableValue(RefersionError):
    """A value cannot be read as its column's type. Nothing of the table was loaded.

    Args:
        table: the table of the value.
        field: the column, in the table's own naming.
        row: what identifies the row (its id, or its position in the response).
        value: the value as received (shortened if long, omitted if personal).
        wanted: the expected type, in words.
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


class UnusableExport(RefersionError):
    """An exported CSV file, or the folder of exports, cannot be used as it is. Nothing of the file was loaded."""


class ExportInProgress(UnusableExport):
    """An exported file changes while it is read: it is still being written. Nothing of it was loaded."""

    may_pass = True


class WindowNotSettled(RefersionError):
    """Rows kept moving between pages while a time window was read. It was not loaded, because rows could be missing."""

    may_pass = True


def find_cause(error: BaseException) -> RefersionError | None:
    """The source's own error inside an exception that dlt raised. None if there is another cause."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, RefersionError):
        reason = reason.__cause__ or reason.__context__
    return reason

"""A connection to a server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.session import Row, Session
from refersion_dagster.warehouse.sql import Value, written


class ServerSession(Session):
    """One connection to a server.

    Raises WarehouseError for errors that the statement did not cause: a broken connection, a missing right, or a full
    disk.
    """

    @abstractmethod
    def trouble_of(self, error: BaseException) -> WarehouseError | None:
        """See ServerDatabase."""

    def native(self, sql: str) -> list[Row]:
        with self._troubles_in_words():
            return super().native(sql)

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        statement = written(sql, parameters, self.dialect)
        with self._troubles_in_words(), self._client.execute_query(statement) as cursor:
            yield from cursor.iter_arrow(rows)

    @contextmanager
    def _troubles_in_words(self) -> Iterator[None]:
        """Of all exceptions, because dlt does not wrap everything that drivers raise for a broken connection."""
        try:
            yield
        except Exception as error:
            trouble = self.trouble_of(error)
            if trouble is None:
                raise
            raise trouble from error

"""A connection to a server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from refersion_dagster.usage.meter import METER
from refersion_dagster.warehouse.errors import WarehouseError
from refersion_dagster.warehouse.session import Row, Session
from refersion_dagster.warehouse.sql import Value, write_statement


class ServerSession(Session):
    """One connection to a server.

    Raises WarehouseError for errors that the statement did not cause: a broken connection, a missing right, or a full
    disk.
    """

    @abstractmethod
    def convert_error(self, error: BaseException) -> WarehouseError | None:
        """See ServerDatabase."""

    def native(self, sql: str) -> list[Row]:
        with self._convert_errors():
            return super().native(sql)

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        statement = write_statement(sql, parameters, self.dialect)
        with self._convert_errors():
            yield from METER.results(self._batches(statement, rows), is_timed=self.is_timed)

    def _batches(self, statement: str, rows: int) -> Iterator[pa.Table]:
        with self._client.execute_query(statement) as cursor:
            yield from cursor.iter_arrow(rows)

    @contextmanager
    def _convert_errors(self) -> Iterator[None]:
        """Of all exceptions, because dlt does not wrap everything that drivers raise for a broken connection."""
        try:
            yield
        except Exception as error:
            problem = self.convert_error(error)
            if problem is None:
                raise
            raise problem from error

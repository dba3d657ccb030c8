"""A connection to a server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import pyarrow as pa
from dlt.destinations.exceptions import DatabaseException

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
        try:
            return super().native(sql)
        except DatabaseException as error:
            trouble = self.trouble_of(error)
            if trouble is None:
                raise
            raise trouble from error

    def arrow(self, sql: str, rows: int, **parameters: Value) -> Iterator[pa.Table]:
        with self._client.execute_query(written(sql, parameters, self.dialect)) as cursor:
            yield from cursor.iter_arrow(rows)

"""DuckLake as a warehouse: the lake from dlt's own configuration, and write access."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.ducklake.errors import convert_lake_error
from refersion_dagster.warehouse.ducklake.lake import Lake
from refersion_dagster.warehouse.ducklake.session import LakeSession
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseNotSet
from refersion_dagster.warehouse.file_lock import file_lock
from refersion_dagster.warehouse.postgres.database import writer
from refersion_dagster.warehouse.session import Session

# Whether the user of the catalogue's server may write the lake's tables or create them.
MAY_WRITE = """
SELECT CASE WHEN to_regclass(format('%I.ducklake_snapshot', '{schema}')) IS NULL
  THEN has_database_privilege(current_database(), 'CREATE')
  ELSE has_table_privilege(format('%I.ducklake_snapshot', '{schema}'), 'INSERT') END
"""


class DuckLakeDatabase:
    """The lake that dlt's configuration names. Every use raises WarehouseNotSet if it names none.

    DuckLake itself allows any number of concurrent writers: each commit is a snapshot, and if two change the same
    table, the later one fails. A run needs stronger isolation, because it commits many times and what it reads in
    between must not change.
    """

    # The action journal can therefore not be stored here.
    enforces_keys = False

    @property
    def location(self) -> str:
        return Lake.configured().location

    @property
    def file(self) -> None:
        return None

    @property
    def exists(self) -> bool:
        return Lake.configured().exists

    @contextmanager
    def open_destination(self) -> Iterator[Any]:
        from refersion_dagster.warehouse.dlt_internals.ducklake import lake_destination

        with Lake.configured().attach() as credentials:
            yield lake_destination(credentials)

    def prepare(self, source: DltSource) -> DltSource:
        """dlt repeats a copy whose response was lost, so rows may exist twice before they are merged."""
        for resource in source.resources.values():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "delete-insert"})
        return source

    @contextmanager
    def session(self, read_only: bool = False) -> Iterator[LakeSession]:
        """Raises WarehouseError, or WarehouseNotSet for a read-only session if the lake does not exist yet."""
        from refersion_dagster.warehouse.dlt_internals.ducklake import lake_client

        lake = Lake.configured()
        if read_only and not lake.exists:
            raise WarehouseNotSet(f"There is no lake at {lake.location} yet. The first refresh makes it.")
        with lake.attach(read_only) as credentials, lake_client(credentials, DATASET) as client:
            yield LakeSession(client, lake.location)

    @contextmanager
    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
        """Runs queue at an advisory lock of the catalogue's server, or at a lock file next to the catalogue.

        The lake stays attached meanwhile, so that its extensions are loaded only once.
        """
        lake = Lake.configured()
        lock = lake.server.write_lock(timeout, tell) if lake.server else file_lock(lake.file or Path(), timeout, tell)
        with lock, lake.attach():
            yield

    def write_access(self, session: Session) -> WriteAccess:
        """Checks the catalogue only. Whether the keys may write files becomes known when they are used."""
        lake = Lake.configured()
        if lake.server is None:
            path = str(lake.file)
            return WriteAccess(
                os.access(path, os.W_OK), f"Give the user that runs Dagster write permission on {path}.", ""
            )
        with lake.server.session(read_only=True) as catalogue:
            granted = catalogue.native(MAY_WRITE.format(schema=lake.schema.replace("'", "''"))) == [(True,)]
            return WriteAccess(
                granted,
                f"GRANT CREATE ON DATABASE … TO that user, or let it own the schema {lake.schema} and its tables.",
                writer(catalogue).strip(" ()"),
            )

    def classify_error(self, error: BaseException) -> WarehouseError | None:
        return convert_lake_error(error, self.location)

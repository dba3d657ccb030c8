"""DuckLake: which one, from dlt's own configuration, and who may write to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlt.extract.source import DltSource

from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.warehouse.database import WriteAccess
from refersion_dagster.warehouse.ducklake.errors import lake_trouble
from refersion_dagster.warehouse.ducklake.lake import Lake
from refersion_dagster.warehouse.ducklake.session import LakeSession
from refersion_dagster.warehouse.errors import WarehouseError, WarehouseNotSet
from refersion_dagster.warehouse.file_lock import file_lock
from refersion_dagster.warehouse.postgres.database import writer
from refersion_dagster.warehouse.session import Session

# Of the user that the catalogue's server knows: whether the lake's tables are its to write, or can be made.
MAY_WRITE = """
SELECT CASE WHEN to_regclass(format('%I.ducklake_snapshot', '{schema}')) IS NULL
  THEN has_database_privilege(current_database(), 'CREATE')
  ELSE has_table_privilege(format('%I.ducklake_snapshot', '{schema}'), 'INSERT') END
"""


class DuckLakeDatabase:
    """The lake that dlt's configuration names. Every use raises WarehouseNotSet where it names none.

    DuckLake itself lets any number of programs write: each commit is a snapshot, and of two that changed the same table
    the later one fails. A run needs more, as it commits many times and what it reads between has to stay.
    """

    # So the journal of actions cannot be here.
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
    def loading(self) -> Iterator[Any]:
        from refersion_dagster.warehouse.dlt_internals.ducklake import lake_destination

        with Lake.configured().attached() as credentials:
            yield lake_destination(credentials)

    def prepare(self, source: DltSource) -> DltSource:
        """dlt repeats a copy whose answer was lost, so that rows may be there twice before they are merged."""
        for resource in source.resources.values():
            resource.apply_hints(write_disposition={"disposition": "merge", "strategy": "delete-insert"})
        return source

    @contextmanager
    def session(self, read_only: bool = False) -> Iterator[LakeSession]:
        """Raises WarehouseError; a read-only one WarehouseNotSet where nobody has made the lake yet."""
        from refersion_dagster.warehouse.dlt_internals.ducklake import lake_client

        lake = Lake.configured()
        if read_only and not lake.exists:
            raise WarehouseNotSet(f"There is no lake at {lake.location} yet. The first refresh makes it.")
        with lake.attached(read_only) as credentials, lake_client(credentials, DATASET) as client:
            yield LakeSession(client, lake.location)

    @contextmanager
    def exclusive(self, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
        """Runs queue up at an advisory lock of the catalogue's server, or at a file beside the catalogue.

        The lake stays attached meanwhile, so that its extensions are loaded once.
        """
        lake = Lake.configured()
        lock = lake.server.exclusive(timeout, tell) if lake.server else file_lock(lake.file or Path(), timeout, tell)
        with lock, lake.attached():
            yield

    def write_access(self, session: Session) -> WriteAccess:
        """By the catalogue: whether the keys may write files shows when they do."""
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
        return lake_trouble(error, self.location)

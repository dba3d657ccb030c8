"""MotherDuck as far as it can be tested without an account: all of our own code, on a DuckDB file instead of the cloud.

dlt's destination, our session, the lease and the merge are those of MotherDuck. Only the address that DuckDB opens is a
file's. The service itself is not tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from dlt.destinations.impl.motherduck.configuration import MotherDuckCredentials

from refersion_dagster.warehouse.motherduck.database import MotherDuckDatabase
from refersion_dagster.warehouse.registry import DATABASES

TOKEN = "header.pay_load.signature-of-tests"


class FileCredentials(MotherDuckCredentials):
    """MotherDuck credentials with which DuckDB opens a file."""

    def _conn_str(self) -> str:
        return str(Path(str(self.query["path"])) if self.query else "")


@dataclass(frozen=True)
class CloudFile:
    """Returns credentials, each time for a new connection, as dlt's configuration does."""

    path: Path

    def __call__(self) -> MotherDuckCredentials:
        credentials = FileCredentials()
        # DuckDB derives the database name from the file name.
        credentials.update({"database": self.path.stem, "password": TOKEN, "query": {"path": str(self.path)}})
        credentials.resolve()
        return credentials

    @property
    def database(self) -> MotherDuckDatabase:
        return MotherDuckDatabase(self)


@contextmanager
def cloud_on_file(path: Path) -> Iterator[None]:
    """Makes `motherduck` refer to this file."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(DATABASES, "motherduck", lambda *_: CloudFile(path).database)  # type: ignore[arg-type]
        yield

"""An account that is read from a folder of exports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refersion_dagster.resources import RefersionResource, Warehouse
from refersion_dagster_tests.location import SALT, TABLES, Outcome, materialise

RAW = (*TABLES, "conversion_history", "conversion_readings", "graphql_schemas", "schema_changes")


@dataclass(frozen=True)
class ExportAccount:
    """The folder and the warehouse of an account."""

    folder: Path
    warehouse: Warehouse

    @classmethod
    def of(cls, place: Path) -> ExportAccount:
        folder = place / "exports"
        folder.mkdir()
        return cls(folder, Warehouse(duckdb_path=str(place / "exports.duckdb")))

    def refresh(self, *tables: str, config: dict[str, Any] | None = None) -> Outcome:
        refersion = RefersionResource(exports_path=str(self.folder), pii_salt=SALT)
        return materialise(refersion, self.warehouse, *(f"refersion/{one}" for one in tables or RAW), config=config)

    def load(self, *tables: str) -> Outcome:
        done = self.refresh(*tables)
        assert done.success, done.failure
        return done

    def refused(self, *tables: str, config: dict[str, Any] | None = None) -> str:
        done = self.refresh(*tables, config=config)
        assert not done.success
        return done.failure

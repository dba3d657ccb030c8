"""One export as a dlt source: the same resources as those of the API, for the tables that it fills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import dlt
import pyarrow as pa
from dlt.common.typing import TSecretStrValue
from dlt.extract.resource import DltResource

from refersion_dagster.refersion.destination import check_merge
from refersion_dagster.refersion.exports.reader import TABLES, Export
from refersion_dagster.refersion.extract.batches import YIELD_ROWS
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.extract.stats import ReadReport
from refersion_dagster.refersion.personal_data import privacy_of
from refersion_dagster.refersion.resources import entity_resource
from refersion_dagster.refersion.tables.arrow import ArrowTableBuilder
from refersion_dagster.refersion.tables.catalog import ENTITIES, Entity
from refersion_dagster.refersion.tables.privacy import PersonalData

EXPORTED = frozenset(entity.name for entities in TABLES.values() for entity in entities)
NOT_EXPORTED = "The account is read from CSV exports, which do not have it."


# The name is that of the API's source: both fill the same tables, with one salt.
@dlt.source(name="refersion_source", section="refersion_source", max_table_nesting=0)
def export_source(
    export: Export | None,
    report: ReadReport,
    tables: Sequence[str],
    pii: str = "hash",
    pii_salt: TSecretStrValue | None = None,
) -> Iterable[DltResource]:
    """The rows of one exported file, and empty tables for what no export has.

    Args:
        export: the file's rows; None for empty tables alone.
        report: filled with counts and what the export does not have.
        tables: the tables to fill.
        pii, pii_salt: as of refersion_source.
    """

    def read(entity: Entity) -> Iterator[pa.Table]:
        check_merge()
        privacy = privacy_of(PersonalData(pii), pii_salt)
        if export is None or entity not in TABLES[export.file.kind]:
            yield ArrowTableBuilder(entity, read_at=BEGINNING, privacy=privacy).empty()
            return
        builder = ArrowTableBuilder(entity, read_at=export.file.made_at, privacy=privacy)
        rows = export.batch(entity)
        found = report.table(entity.name)
        found.rows += export.rows
        yield builder.empty()
        for at in range(0, export.rows, YIELD_ROWS):
            yield builder.build([rows[at : at + YIELD_ROWS]])

    return [entity_resource(entity, lambda entity=entity: read(entity)) for entity in map(ENTITIES.__getitem__, tables)]

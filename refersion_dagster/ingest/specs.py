"""Asset specs of the raw tables, shown by Dagster."""

from __future__ import annotations

import dagster as dg
from dagster_dlt import DagsterDltTranslator
from dagster_dlt.translator import DltResourceTranslatorData

from refersion_dagster.documentation import answers
from refersion_dagster.ingest.history import conversions, readings, schemas
from refersion_dagster.namespace import USUAL, Namespace
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.tables.catalog import ENTITIES, Column, Entity, Kind

GROUP = "refersion"
OWNERS = ["team:data"]

# Questions that each table answers. Figures belong to the summaries.
QUESTIONS = {
    "affiliate_list": ("Which affiliates are there, in which offer, and who is waiting for approval?",),
    "affiliate_get": ("Which numeric id belongs to which code?", "Which company is an affiliate?"),
    "conversion_totals": ("Which totals does Refersion report, to compare the loaded rows with?",),
    "affiliates": ("Which affiliates are there, in which country?", "Which affiliates have no PayPal e-mail address?"),
    "conversions": (
        "Which orders, cancellations and credits does Refersion have?",
        "What is the status of a conversion now, and which payment paid it?",
    ),
    "payments": ("Which payments were made to whom, and for how many conversions?",),
    "offers": ("Which rates and terms does each offer have?",),
    "clicks": (
        "How many clicks did an affiliate's links bring, and from which pages?",
        "How many of them led to an order?",
    ),
    conversions.TABLE: (
        "When was a conversion approved, denied or paid, and what was it before?",
        "Which conversions were deleted in Refersion, and when?",
    ),
    readings.TABLE: ("When was the account read, and which conversions did each reading cover?",),
    schemas.TABLE: ("Which types and fields did the account's GraphQL API have at a time?",),
    schemas.CHANGES: (
        "What did Refersion add to its GraphQL API, remove from it or change?",
        "Which tables and columns does that affect?",
    ),
}

# Tables that the loads maintain: description, columns and key of each.
MAINTAINED: dict[str, tuple[str, list[dg.TableColumn], tuple[str, ...]]] = {
    conversions.TABLE: (conversions.DESCRIPTION, conversions.COLUMNS, ("id", "seen_at")),
    readings.TABLE: (readings.DESCRIPTION, readings.COLUMNS, readings.KEY),
    schemas.TABLE: (schemas.DESCRIPTION, schemas.COLUMNS, schemas.KEY),
    schemas.CHANGES: (schemas.DESCRIPTION_OF_CHANGES, schemas.COLUMNS_OF_CHANGES, schemas.KEY_OF_CHANGES),
}

SQL_TYPES = {
    Kind.ID: "text",
    Kind.TEXT: "text",
    Kind.MONEY: "decimal(18,4)",
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.TIMESTAMP: "timestamptz",
    Kind.CUSTOM_FIELDS: "text (JSON)",
}


def asset_key(table: str, names: Namespace = USUAL) -> dg.AssetKey:
    return names.table_key(DATASET, table)


def column_schema(entity: Entity, extras: tuple[str, ...] | list[str] = ()) -> dg.TableSchema:
    """The table's columns; `extras` are those that an account offers beyond the known ones."""

    def column(one: Column) -> dg.TableColumn:
        return dg.TableColumn(
            one.name,
            SQL_TYPES[one.kind],
            one.description,
            dg.TableColumnConstraints(
                nullable=not one.required, unique=entity.primary_key == (one.name,), other=[one.evidence.value]
            ),
        )

    further = [dg.TableColumn(name, "text", "Additional field that this account offers.") for name in extras]
    return dg.TableSchema([*map(column, entity.columns), *further])


def descriptions(table: str) -> tuple[str, dict[str, str]]:
    """The descriptions of a raw table and of each of its known columns."""
    if table in MAINTAINED:
        description, columns, _ = MAINTAINED[table]
        return description, {column.name: column.description or "" for column in columns}
    entity = ENTITIES[table]
    return entity.description, {column.name: column.description for column in entity.columns}


def asset_spec(entity: Entity, names: Namespace = USUAL) -> dg.AssetSpec:
    api = "graphql" if entity.is_graphql else "rest"
    return dg.AssetSpec(
        asset_key(entity.name, names),
        description=f"{entity.description}\n\nMerged on {', '.join(entity.primary_key)}."
        + answers(*QUESTIONS[entity.name]),
        group_name=names.group_name(GROUP),
        kinds={"dlt", api},
        owners=OWNERS,
        # The affiliates to look up come from the list.
        deps=[asset_key("affiliate_list", names)] if entity.name == "affiliate_get" else [],
        metadata={
            "dagster/column_schema": column_schema(entity),
            "dagster/table_name": names.table(DATASET, entity.name),
            "primary_key": ", ".join(entity.primary_key),
        },
        skippable=True,
    )


def maintained_specs(names: Namespace = USUAL) -> list[dg.AssetSpec]:
    """The specs of the tables that the loads maintain."""
    return [_maintained_spec(table, names) for table in MAINTAINED]


def _maintained_spec(table: str, names: Namespace) -> dg.AssetSpec:
    description, columns, key = MAINTAINED[table]
    return dg.AssetSpec(
        asset_key(table, names),
        description=description + answers(*QUESTIONS[table]),
        group_name=names.group_name(GROUP),
        kinds={"sql"},
        owners=OWNERS,
        deps=[] if table in (schemas.TABLE, schemas.CHANGES) else [asset_key("conversions", names)],
        metadata={
            "dagster/column_schema": dg.TableSchema(columns),
            "dagster/table_name": names.table(DATASET, table),
            "primary_key": ", ".join(key),
        },
        skippable=True,
    )


class RefersionTranslator(DagsterDltTranslator):
    """Provides the specs above to dagster-dlt, so that a resource and its asset are described in one place."""

    def __init__(self, names: Namespace) -> None:
        self.names = names

    def get_asset_spec(self, data: DltResourceTranslatorData) -> dg.AssetSpec:
        return asset_spec(ENTITIES[data.resource.name], self.names)

"""Turns each summary into an asset `summaries/<name>`."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from dlt.destinations.exceptions import DatabaseException

from refersion_dagster.ingest.specs import asset_key as raw_key
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.resources import SUMMARIES, Warehouse
from refersion_dagster.summaries.query import Summary

GROUP = "summaries"
PREVIEW_ROWS = 10
# Names and e-mails are what strangers typed in: none of it may become a link, an image or a tag.
MARKUP = frozenset("&<>|[]()!`*~\\")


def asset_key(summary: str) -> dg.AssetKey:
    return dg.AssetKey(["summaries", summary])


def summary_asset(summary: Summary) -> dg.AssetsDefinition:
    """The asset that builds one summary beside the table there is and swaps the two."""
    header = summary.header
    questions = "\n".join(f"- {question}" for question in header.questions)

    @dg.asset(
        key=asset_key(summary.name),
        description=f"{header.description}\n\n**Grain:** {header.grain}\n\n**Answers**\n{questions}",
        group_name=GROUP,
        kinds={"sql"},
        owners=header.owners,
        deps=[raw_key(table) if schema == DATASET else asset_key(table) for schema, table in summary.depends_on],
        metadata={
            "dagster/table_name": f"{SUMMARIES}.{summary.name}",
            "primary_key": ", ".join(header.primary_key),
            # Types are the warehouse's to say, once the table is built.
            "dagster/column_schema": dg.TableSchema(
                [dg.TableColumn(name, "", header.columns.get(name)) for name in summary.columns]
            ),
            "query": dg.MetadataValue.md(f"```sql\n{summary.select}\n```"),
        },
    )
    def build(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
        with warehouse.writing(context.log.info):
            try:
                rows = warehouse.replace_table(SUMMARIES, summary.name, summary.select)
            except DatabaseException as error:
                absent = [
                    (raw_key(table) if schema == DATASET else asset_key(table)).to_user_string()
                    for schema, table in summary.depends_on
                    if not warehouse.columns(schema, table)
                ]
                reason = f"materialise {', '.join(absent)} first." if absent else str(error)
                raise dg.Failure(
                    f"{summary.path}:{summary.line}: the query failed, and {SUMMARIES}.{summary.name} is as it was: "
                    f"{reason}",
                    allow_retries=False,
                ) from error
            columns = warehouse.columns(SUMMARIES, summary.name)
            preview = warehouse.query(f"SELECT * FROM {SUMMARIES}.{summary.name} LIMIT {PREVIEW_ROWS}")  # noqa: S608
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": rows,
                "dagster/column_schema": dg.TableSchema(
                    [dg.TableColumn(name, kind, header.columns.get(name)) for name, kind in columns]
                ),
                "preview": dg.MetadataValue.md(markdown_table([name for name, _ in columns], preview)),
            }
        )

    return build


def markdown_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a Markdown table, cells made harmless."""

    def cell(value: Any) -> str:
        text = " ".join(("" if value is None else str(value)).splitlines())
        return "".join(f"&#{ord(character)};" if character in MARKUP else character for character in text)

    lines = [map(cell, names), ["---"] * len(names), *(map(cell, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

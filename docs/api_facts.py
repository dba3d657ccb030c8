"""The list of fields in docs/api-facts.md, from the catalogue of raw tables."""

from __future__ import annotations

from refersion_dagster.documentation import CHECKOUT
from refersion_dagster.refersion.tables.catalog import ENTITIES, FieldSource

PAGE = CHECKOUT / "docs" / "api-facts.md"
BEGIN, END = "<!-- fields -->\n", "<!-- end -->"


def facts_page() -> str:
    """Returns the text of the page, with the list of fields as the catalogue has it."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}{fields()}{END}{rest.partition(END)[2]}"


def fields() -> str:
    """Returns the fields of each table as a Markdown table."""
    sources = (FieldSource.DOCUMENTED, FieldSource.SEEN, FieldSource.INFERRED)
    rows = []
    for entity in ENTITIES.values():
        named = {source: [one.name for one in entity.columns if one.evidence is source] for source in sources}
        cells = (", ".join(f"`{name}`" for name in named[source]) for source in sources)
        rows.append(f"| `{entity.name}` | {' | '.join(cells)} |\n")
    return f"\n| table | {' | '.join(sources)} |\n|---|---|---|---|\n{''.join(rows)}\n"

"""`python -m docs` writes the generated files of the documentation into this checkout."""

from __future__ import annotations

import tempfile
from pathlib import Path

from docs.api_facts import PAGE as FACTS
from docs.api_facts import facts_page
from docs.contracts import FOLDER as CONTRACTS
from docs.contracts import contracts
from docs.dictionary import FOLDER as DICTIONARY
from docs.dictionary import pages
from docs.sample import SampleTable, read_tables
from docs.semantic_model import semantic_model
from refersion_dagster.settings.reference import write
from refersion_dagster_tests.location import load_small


def generated(tables: list[SampleTable]) -> dict[Path, str]:
    """Returns the text of every file that is made from the SQL files."""
    return {**pages(tables), **contracts(tables), **semantic_model(tables)}


def main() -> None:
    write()
    FACTS.write_text(facts_page(), "utf-8")
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "refersion.duckdb"
        load_small(database)
        files = generated(read_tables(database))
    for path in [*DICTIONARY.glob("*.md"), *CONTRACTS.glob("*.yaml")]:
        if path not in files:
            path.unlink()
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()

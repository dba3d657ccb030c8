"""Files generated from the settings: the tables of docs/settings.md, and `.env.example`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap

from pydantic.fields import FieldInfo

from refersion_dagster.settings.environment import PARTS
from refersion_dagster.settings.part import SettingsPart

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "settings.md"
EXAMPLE = Path(__file__).resolve().parents[1] / "env.example"
HEAD = "| variable | default | what it does |\n|---|---|---|\n"
# The generated content of the page is between these comments.
BLOCK = re.compile(r"(<!-- settings: (\w+) -->\n\n).*?(\n<!-- end -->)", re.DOTALL)
EXAMPLE_HEAD = """\
# Copy to .env. Every command and Dagster read it; environment variables take precedence.
# Keys: Refersion > Account > Settings > Refersion API. Replace the placeholders.
"""
WIDTH = 118


def written_page(text: str) -> str:
    """Returns the text of the settings page with generated tables."""
    return BLOCK.sub(lambda match: f"{match[1]}{table(PARTS[match[2]])}{match[3]}", text)


def table(part: type[SettingsPart]) -> str:
    """Returns the variables of a part as a Markdown table."""
    return HEAD + "".join(_row(part, name, field) for name, field in part.model_fields.items())


def _row(part: type[SettingsPart], name: str, field: FieldInfo) -> str:
    text = " ".join(filter(None, [field.description, _extra(field)["more"]]))
    cells = (f"`{part.variable(name)}`", _default(field), text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _extra(field: FieldInfo) -> Mapping[str, str | None]:
    assert isinstance(field.json_schema_extra, dict)  # noqa: S101 - as `setting` makes it
    return field.json_schema_extra  # pyright: ignore[reportReturnType]


def _default(field: FieldInfo) -> str:
    if (shown := _extra(field)["shown_default"]) is not None:
        return shown
    if field.default in (None, ""):
        return ""
    word = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return f"`{word}`"


def example() -> str:
    """Returns an example of `.env`: the variables that have an example, all except the keys commented out."""
    return EXAMPLE_HEAD + "".join(block for part in PARTS.values() for block in _examples(part))


def _examples(part: type[SettingsPart]) -> Iterator[str]:
    shown = {name: field for name, field in part.model_fields.items() if field.examples}
    if shown:
        yield f"\n# --- {(part.__doc__ or '').splitlines()[0]}\n"
    for name, field in shown.items():
        for line in wrap(field.description or "", WIDTH):
            yield f"# {line}\n"
        comment = "" if name in ("public_key", "api_key", "graphql_token") else "#"
        yield f"{comment}{part.variable(name)}={field.examples[0] if field.examples else ''}\n"


def write() -> None:
    """Writes both files into this checkout."""
    PAGE.write_text(written_page(PAGE.read_text("utf-8")), "utf-8")
    EXAMPLE.write_text(example(), "utf-8")

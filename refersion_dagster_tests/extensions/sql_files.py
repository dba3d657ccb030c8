"""Files of own summaries and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from refersion_dagster.settings import Settings

SUMMARY = """\
/*
description: Commission of each currency that is approved and not paid, from the raw rows.
grain: one row per currency
primary_key: [currency]
owners: [team:finance]
questions:
  - What is due in each currency?
columns:
  currency: Currency of the amounts.
  due: Commission that is approved and not paid.
sums:
  due: due
*/
"""
SELECT = """\
SELECT currency, CAST(sum(CASE WHEN commission_state = 'due' THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS due
FROM refersion_summaries.conversions
GROUP BY currency
"""
CHECK = """\
/*
asset: summaries/{table}
description: Nothing is due to Refersion.
meaning: Affiliates owe money.
*/
"""
NEGATIVE = "SELECT currency, due FROM refersion_summaries.{table} WHERE due < 0\n"
# The line on which a SELECT begins.
AT = SUMMARY.count("\n") + 1
CHECK_AT = CHECK.count("\n") + 1


def summary(select: str = SELECT, header: str = SUMMARY) -> str:
    """The text of a summary with the columns currency and due."""
    return header + dedent(select)


def check(select: str = NEGATIVE, table: str = "own_due", header: str = CHECK) -> str:
    return (header + dedent(select)).replace("{table}", table)


@dataclass(frozen=True)
class SqlFolders:
    """Folders of an account's own files."""

    folder: Path

    def write(
        self, summaries: Mapping[str, str] | None = None, checks: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Writes files by name, without .sql. Returns the variables that name the folders."""
        for kind, files in (("summaries", summaries), ("checks", checks)):
            for name, text in (files or {}).items():
                path = self.folder / kind / f"{name}.sql"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
        return self.variables

    @property
    def variables(self) -> dict[str, str]:
        kinds = ("summaries", "checks")
        return {f"REFERSION_{kind.upper()}_PATH": str(self.folder / kind) for kind in kinds if self.path(kind).exists()}

    def path(self, kind: str, name: str = "") -> Path:
        return self.folder / kind / (f"{name}.sql" if name else "")

    def settings(self, **more: str) -> Settings:
        return Settings.of({**self.variables, **more})

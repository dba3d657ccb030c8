"""The files that `refersion-dagster new-summary` writes."""

from __future__ import annotations

from pathlib import Path
from string import Template

from refersion_dagster.settings import ExtensionSettings, Settings
from refersion_dagster.summaries.extensions import LONGEST, NAME, find_folder
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster.warehouse.sql_file import SqlFileError

SUMMARY = Template("""\
/*
description: Conversions of each currency, and their commission by whether it is due.
grain: one row per currency
primary_key: [currency]
owners: [team:data]
questions:
  - How much commission is due in each currency?
columns:
  currency: Currency of the amounts.
  conversions: Number of conversions.
  commission: Commission of all conversions, whatever their status.
  due: Commission that is approved and not paid.
sums:
  conversions: rows
  commission: commission
  due: due
*/
SELECT
  currency,
  count(*) AS conversions,
  CAST(sum(commission) AS DECIMAL(38, 4)) AS commission,
  CAST(sum(CASE WHEN commission_state = 'due' THEN commission ELSE 0 END) AS DECIMAL(38, 4)) AS due
FROM refersion_summaries.conversions
GROUP BY currency
ORDER BY currency
""")
CHECK = Template("""\
/*
asset: summaries/$name
description: Every currency of the conversions has a row.
meaning: Conversions are missing from summaries/$name. Do not use its figures.
blocking: false
severity: error
*/
SELECT c.currency, count(*) AS conversions
FROM refersion_summaries.conversions AS c
LEFT JOIN refersion_summaries.$name AS s ON s.currency = c.currency
WHERE s.currency IS NULL
GROUP BY c.currency
""")
FOLDERS = {"summaries_path": "sql/summaries", "checks_path": "sql/checks"}


class FileNotCreated(SqlFileError):
    """A file cannot be created; nothing was written."""


def create_files(settings: Settings, name: str, with_check: bool) -> list[Path]:
    """Writes a summary, and a check of it, into the folders of the settings. Returns the files.

    Raises FileNotCreated.
    """
    check = f"{name}_complete"
    if not NAME.fullmatch(check if with_check else name):
        raise FileNotCreated(
            f"{name} is not a valid name: it has to begin with a lower-case letter and consist of lower-case letters, "
            f"digits and _, and may have {LONGEST - len('_complete') if with_check else LONGEST} of them."
        )
    if name in {summary.name for summary in load_summaries()}:
        raise FileNotCreated(f"{name} is the name of a shipped summary. Choose another name.")
    texts = {_place(settings, "summaries_path", name): SUMMARY.substitute(name=name)}
    if with_check:
        texts[_place(settings, "checks_path", check)] = CHECK.substitute(name=name)
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise FileNotCreated(f"{path} cannot be written: {error.strerror}.") from None
    return [*texts]


def _place(settings: Settings, field: str, name: str) -> Path:
    """Returns the path of a new file. Raises FileNotCreated if its folder is not set, or if there is such a file."""
    folder, variable = find_folder(settings, field), settings.variable(ExtensionSettings.variable(field))
    if folder is None:
        raise FileNotCreated(f"{variable} is not set. Add {variable}={FOLDERS[field]} to .env, then run this again.")
    if taken := next(folder.rglob(f"{name}.sql"), None):
        raise FileNotCreated(f"{taken} exists already.")
    return folder / f"{name}.sql"

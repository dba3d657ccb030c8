"""Your own summaries and checks: SQL files in the folders that the settings name, beside those of the package.

Nothing of them is global, because two accounts in one process may have different folders. What is cached depends on the
text of the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from refersion_dagster.settings import ExtensionSettings, InvalidSetting, Settings
from refersion_dagster.summaries.build import FOUND_OUT
from refersion_dagster.summaries.lineage import check_columns
from refersion_dagster.summaries.query import Summary, load_summaries, parse, sort_by_dependency
from refersion_dagster.summaries.settings import ReportSettings
from refersion_dagster.warehouse.dialects.dialect import Dialect, UntestedSql
from refersion_dagster.warehouse.sql import bind
from refersion_dagster.warehouse.sql_file import SqlFile, SqlFileError, SqlHeader, SqlText, read_texts

HeaderType = TypeVar("HeaderType", bound=SqlHeader)
Item = TypeVar("Item")
Result = TypeVar("Result")

# PostgreSQL cuts longer names, and a staging table has a longer name than its summary.
LONGEST = 50
NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{LONGEST - 1}}}")


@dataclass(frozen=True)
class Extensions:
    """The files of one account."""

    summaries: tuple[SqlText, ...] = ()
    checks: tuple[SqlText, ...] = ()

    @property
    def paths(self) -> frozenset[str]:
        """The paths of all files."""
        return frozenset(text.path for text in (*self.summaries, *self.checks))


def find_extensions(settings: Settings) -> Extensions:
    """Reads the files in the folders of the settings.

    Raises InvalidSetting for a folder that cannot be read, and SqlFileError for a file that is not text.
    """
    return Extensions(_read(settings, "summaries_path"), _read(settings, "checks_path"))


def find_folder(settings: Settings, field: str) -> Path | None:
    """Returns the absolute folder of a setting, which need not exist; None if it is not set."""
    value = getattr(settings.extensions, field)
    return Path(value).expanduser().absolute() if value else None


def _read(settings: Settings, field: str) -> tuple[SqlText, ...]:
    folder = find_folder(settings, field)
    if folder is None:
        return ()
    variable = settings.variable(ExtensionSettings.variable(field))
    if not folder.is_dir():
        raise InvalidSetting(f"{variable}: there is no folder {folder}. Create it, or correct the setting.")
    try:
        return read_texts(folder)
    except OSError as error:
        raise InvalidSetting(f"{variable}: {error.filename or folder} cannot be read: {error.strerror}.") from None


@lru_cache(maxsize=32)
def join_summaries(texts: tuple[SqlText, ...]) -> tuple[Summary, ...]:
    """Returns the shipped summaries and those of these files, each after those that it reads.

    Raises SqlFileError with all errors of the files that are known so far, one per line.
    """
    shipped = load_summaries()
    own = try_each(texts, lambda text: parse(text.text, text.path))
    check_names((one.file for one in own), {one.name: "a shipped summary" for one in shipped})
    every = (*shipped, *sort_by_dependency(own, shipped))
    try_each(every[len(shipped) :], lambda one: check_columns(one.file, one.depends_on, every))
    return every


def try_each(items: Iterable[Item], attempt: Callable[[Item], Result]) -> list[Result]:
    """Returns the results for all items. Raises one SqlFileError with the errors of all that fail, one per line."""
    results, errors = [], []
    for item in items:
        try:
            results.append(attempt(item))
        except SqlFileError as error:
            errors.append(str(error))
    if errors:
        raise SqlFileError("\n".join(errors))
    return results


def check_names(files: Iterable[SqlFile[HeaderType]], taken: Mapping[str, str]) -> None:
    """Raises SqlFileError if a file's name is not a table's name, or is used already.

    Args:
        taken: what has a name already, by name.
    """
    found = dict(taken)

    def check(file: SqlFile[HeaderType]) -> None:
        if not NAME.fullmatch(file.name):
            raise SqlFileError(
                f"{file.path}:1: {file.name} is not a valid name. It has to begin with a lower-case letter and consist "
                f"of up to {LONGEST} lower-case letters, digits and _. Rename the file."
            )
        if file.name in found:
            raise SqlFileError(f"{file.path}:1: {file.name} is already the name of {found[file.name]}. Rename a file.")
        found[file.name] = file.path

    try_each(files, check)


def check_translation(file: SqlFile[HeaderType], dialect: Dialect) -> None:
    """Raises SqlFileError if the SELECT has no proven translation to a dialect."""
    values = {**ReportSettings().parameters(), **dict.fromkeys(FOUND_OUT)}
    try:
        dialect.write(bind(file.tree, values))
    except UntestedSql as error:
        line = file.find_node_line(error.node) if error.node else file.line
        raise SqlFileError(
            f"{file.path}:{line}: {error.reason}. Its figures could differ there: write it another way, for example as "
            "the shipped summaries do."
        ) from None

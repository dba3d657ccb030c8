"""A file that holds one SELECT in DuckDB's dialect under a header that describes it.

    /*
    description: …
    …
    */
    SELECT …

The header is YAML. Tables are named with their schema (refersion_data.conversions), which makes dependencies explicit
and lets the SELECT be pasted into any DuckDB client. `$name` stands for a setting. SQL that several files share is a
macro; see macros.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

import sqlglot
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from refersion_dagster.errors import ReportedError
from refersion_dagster.warehouse.macros import Macro, MacroError, expand
from refersion_dagster.warehouse.sql import DIALECT, parameters

# Names of columns and of tables are used in SQL without quotes.
IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")
# Parts of a SELECT that write, which some databases allow.
WRITES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Into)


class SqlFileError(ReportedError):
    """A file is invalid. The message names file and line."""


@dataclass(frozen=True)
class SqlText:
    """A file that is not parsed yet."""

    path: str
    text: str


class SqlHeader(BaseModel):
    """The header fields common to all files.

    Args:
        macros: names of the macros that the SELECT calls.
    """

    model_config = ConfigDict(extra="forbid")

    description: str
    macros: list[str] = []


# The safe loader in C is nine times as fast; few builds of PyYAML lack it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
HeaderType = TypeVar("HeaderType", bound=SqlHeader)


@dataclass(frozen=True)
class SqlFile(Generic[HeaderType]):
    """One file.

    Args:
        name: the file's name without its extension.
        select: the SELECT as written, with macro calls replaced by their SQL.
        line: the line of the file on which the SELECT begins.
        tree: the SELECT as parsed by sqlglot.
        columns: names of its columns, in order.
        parameters: names of its `$name`s.
        said: the header's text as written, from the file's first line on.
        lines: for each line of `select`, the line of the original SELECT that it comes from.
    """

    name: str
    path: str
    header: HeaderType
    select: str
    line: int
    tree: exp.Query
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    said: str
    lines: tuple[int, ...]

    def find_line(self, position: int) -> int:
        """The line of the file that a position in `select` comes from."""
        return self.line + self.lines[self.select.count("\n", 0, position)] - 1

    def line_of(self, words: str, below: str) -> int:
        """The line of the header where the words first occur, below one of its keys."""
        lines = self.said.splitlines()
        start = next((at for at, line in enumerate(lines) if line.startswith(f"{below}:")), 0)
        return next((at for at in range(start, len(lines)) if words in lines[at]), 0) + 1

    def find_node_line(self, node: exp.Expr | None) -> int:
        """The line of the file that a node of the tree, or of a tree made of it, comes from.

        If the parser did not record where the node is, it is the line of a node around it, or where the SELECT begins.
        """
        while node is not None:
            if starts := [int(part.meta["start"]) for part in node.walk() if "start" in part.meta]:
                return self.find_line(min(starts))
            node = node.parent
        return self.line

    def _list_sources(self) -> Iterator[exp.Table]:
        """The tables of the FROM clauses, without the statement's own CTEs and series."""
        parts = {cte.alias for cte in self.tree.find_all(exp.CTE)}
        for table in self.tree.find_all(exp.Table):
            if not (not table.db and table.name in parts) and not isinstance(table.this, exp.GenerateSeries):
                yield table

    def find_table_line(self, schema: str, table: str) -> int:
        """The line of the file that first names a table that it reads."""
        return min(self.find_node_line(one) for one in self._list_sources() if (one.db, one.name) == (schema, table))

    def tables(self, known: Mapping[str, Collection[str]]) -> tuple[tuple[str, str], ...]:
        """The (schema, table) pairs that it reads, each once.

        Args:
            known: the tables that may be read, by schema. Raises SqlFileError with the line of any other.
        """
        found: dict[tuple[str, str], None] = {}
        for table in self._list_sources():
            at = self.find_node_line(table)
            if table.db not in known:
                raise SqlFileError(
                    f"{self.path}:{at}: {table.sql()} is not a table of {' or '.join(known)}; qualify it with its "
                    "schema."
                )
            if table.name not in known[table.db]:
                raise SqlFileError(
                    f"{self.path}:{at}: there is no table {table.db}.{table.name}; available are "
                    f"{', '.join(sorted(known[table.db]))}."
                )
            found[table.db, table.name] = None
        return tuple(found)


def read_folder(
    package: str, header: type[HeaderType], macros: Mapping[str, Macro], names: Collection[str] = ()
) -> list[SqlFile[HeaderType]]:
    """All files of a package's folder sql/, by name. Raises SqlFileError at the first error.

    Args:
        macros: all macros that a file may use.
        names: only files with these names, without extension.
    """
    folder = resources.files(package) / "sql"
    wanted = {f"{name}.sql" for name in names} or {file.name for file in folder.iterdir()}
    files = [folder / name for name in sorted(wanted) if name.endswith(".sql")]
    return [read(file.read_text("utf-8"), str(file), header, macros) for file in files]


def read_texts(folder: Path) -> tuple[SqlText, ...]:
    """Reads all .sql files of a folder and its subfolders, by path. Hidden ones are left out.

    Raises SqlFileError for a file that is not UTF-8 text, and OSError for one that cannot be read.
    """
    found = []
    for path in sorted(folder.rglob("*.sql")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        try:
            found.append(SqlText(str(path), path.read_text("utf-8")))
        except UnicodeDecodeError as error:
            line = path.read_bytes().count(b"\n", 0, error.start) + 1
            raise SqlFileError(f"{path}:{line}: the file is not UTF-8 text.") from None
    return tuple(found)


def read(text: str, path: str, header: type[HeaderType], macros: Mapping[str, Macro]) -> SqlFile[HeaderType]:
    """Parse a file's text. Raises SqlFileError with file and line."""
    start, end = text.find("/*"), text.find("*/")
    if text[: max(start, 0)].strip() or start < 0 or end < 0:
        raise SqlFileError(f"{path}:1: the file has to begin with a header between /* and */.")
    said = _header(text[start + 2 : end], path, text.count("\n", 0, start) + 1, header)
    select = text[end + 2 :]
    line = text.count("\n", 0, end) + 1 + select[: len(select) - len(select.lstrip())].count("\n")
    try:
        select, lines = expand(select.strip().removesuffix(";"), macros, said.macros)
    except MacroError as error:
        raise SqlFileError(f"{path}:{line + error.line - 1 if error.line else 1}: {error}.") from None
    try:
        statements = [statement for statement in sqlglot.parse(select, dialect=DIALECT) if statement]
    except (ParseError, TokenError) as error:
        first = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
        # The position comes from the message, because the parser counts lines that follow a $name twice.
        before, after = (
            str(first.get("start_context", "")),
            f"{first.get('highlight', '')}{first.get('end_context', '')}",
        )
        at = line + lines[select.count("\n", 0, max(select.find(before + after), 0) + len(before))] - 1
        raise SqlFileError(f"{path}:{at}: this SQL cannot be parsed: {first.get('description', error)}") from None
    if len(statements) != 1 or not isinstance(query := statements[0], exp.Query) or query.find(*WRITES):
        raise SqlFileError(f"{path}:{line}: the file has to contain exactly one SELECT and no other statement.")
    columns = tuple(query.named_selects)
    found = parameters(query)
    file = SqlFile(Path(path).stem, path, said, select, line, query, columns, found, text[:end], lines)
    _check_columns(file)
    return file


def _check_columns(file: SqlFile[HeaderType]) -> None:
    """Raises SqlFileError if a column of the SELECT has no name that every database accepts without quotes."""
    names: set[str] = set()
    for column in file.tree.selects:
        name = column.alias_or_name
        if column.is_star:
            wrong = f"the SELECT has to name its columns, instead of {column.sql(DIALECT, comments=False)}"
        elif not isinstance(column, exp.Alias | exp.Column):
            wrong = f"{column.sql(DIALECT, comments=False)} has no name; add AS and a name"
        elif not IDENTIFIER.fullmatch(name):
            wrong = f"{name} is not a name of a column; it has to be lower-case letters, digits and _"
        elif name in names:
            wrong = f"the SELECT has two columns {name}"
        else:
            names.add(name)
            continue
        raise SqlFileError(f"{file.path}:{file.find_node_line(column)}: {wrong}.")


def _header(text: str, path: str, line: int, header: type[HeaderType]) -> HeaderType:
    try:
        said: Any = yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader
        if not isinstance(said, Mapping):
            raise SqlFileError(f"{path}:{line}: the header is not a list of `name: value` lines.")
        return header.model_validate(said)
    except yaml.MarkedYAMLError as error:
        at = line + (error.problem_mark.line if error.problem_mark else 0)
        raise SqlFileError(f"{path}:{at}: the header is not valid YAML: {error.problem}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SqlFileError(f"{path}:{line}: the header is incomplete or has unknown entries: {wrong}") from None

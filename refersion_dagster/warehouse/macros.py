"""Macros of SQL files: a call in a SELECT is replaced by SQL that is written once.

    /*
    …
    macros: [share]
    */
    SELECT share(paid, due) AS paid_share FROM …

A macro may be a list of columns or of CTEs, so calls are replaced in the text before it is parsed. The result is the
SELECT that is run, displayed, and analysed for dependencies and lineage. A call must be on one line. Its arguments
contain no macro calls and no nested parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

# The arguments of a call. Each may contain parentheses, but not nested ones.
ARGUMENTS = r"\(((?:[^()]|\([^()]*\))*)\)"
COMMA = re.compile(r",\s*(?![^()]*\))")
# Expressions that are safe anywhere without parentheses around them.
SIMPLE = re.compile(r"[\w.]+(\([^()]*\))?")


class MacroError(Exception):
    """A macro call that cannot be replaced. `line` is the line of the call, 0 if the header is wrong."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Macro:
    """SQL with `{name}` as placeholder for each parameter."""

    parameters: tuple[str, ...]
    sql: str


def expand(text: str, macros: Mapping[str, Macro], named: Collection[str]) -> tuple[str, tuple[int, ...]]:
    """The text with calls replaced, and for each of its lines the line that it comes from. Raises MacroError.

    Args:
        macros: all macros, by name.
        named: the macros that the file's header names.
    """
    if unknown := [name for name in named if name not in macros]:
        raise MacroError(0, f"macros names {unknown[0]}; there are {', '.join(sorted(macros))}")
    calls = re.compile(rf"\b({'|'.join(named)}){ARGUMENTS}")
    starts = re.compile(rf"\b({'|'.join(macros) or '(?!)'})\(")
    expanded: list[str] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        code, comment, words = line.partition("--")

        def sql(call: re.Match[str], number: int = number, line: str = line) -> str:
            parameters, given = macros[call[1]].parameters, COMMA.split(call[2].strip()) if call[2].strip() else []
            if len(given) != len(parameters):
                raise MacroError(number, f"{call[1]}({', '.join(parameters)}) is given {len(given)} arguments")
            values = [one if SIMPLE.fullmatch(one) else f"({one})" for one in given]
            indent = line[: len(line) - len(line.lstrip())]
            replaced = macros[call[1]].sql.strip().format(**dict(zip(parameters, values, strict=True)))
            return replaced.replace("\n", f"\n{indent}")

        replaced = calls.sub(sql, code) if named else code
        if left := starts.search(replaced):
            wrong = "has to be on one line, not in another" if left[1] in named else "has to be named under macros"
            raise MacroError(number, f"{left[1]} is a macro: it {wrong}")
        found = f"{replaced}{comment}{words}".split("\n")
        expanded += found
        lines += [number] * len(found)
    if unused := [name for name in named if not re.search(rf"\b{name}\(", text)]:
        raise MacroError(0, f"macros names {unused[0]}, which the SELECT does not call")
    return "\n".join(expanded), tuple(lines)

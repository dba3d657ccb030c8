"""docs/troubleshooting.md: each message on it is one of the code's, and each error that users meet is on it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from refersion_dagster_tests.location import REPOSITORY

PAGE = (REPOSITORY / "docs" / "troubleshooting.md").read_text("utf-8")
ROW = re.compile(r"^\| `([^|]+)` \| ((?:`\w+`(?:, )?)+)( ↻)? \|", re.MULTILINE)
# Named in a sentence, because its message is that of other errors.
IN_TEXT = {"TablesNotLoaded"}


@cache
def sources() -> tuple[ast.Module, ...]:
    paths = sorted((REPOSITORY / "refersion_dagster").rglob("*.py"))
    return tuple(ast.parse(path.read_text("utf-8")) for path in paths if "sandbox" not in path.parts)


def texts() -> Iterator[str]:
    """Every text of the code, with … for what is put into it."""
    for module in sources():
        for node in ast.walk(module):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@cache
def errors() -> dict[str, bool]:
    """The errors that are reported to users and that the code creates, and whether each may pass."""
    classes = {node.name: node for module in sources() for node in module.body if isinstance(node, ast.ClassDef)}
    created = {
        node.func.id
        for module in sources()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    passes = {"ReportedError": False}
    for _ in classes:  # a subclass may come before its base
        for name, node in classes.items():
            bases = [one.id for one in node.bases if isinstance(one, ast.Name)]
            if base := next((one for one in bases if one in passes), None):
                passes[name] = "may_pass = True" in map(ast.unparse, node.body) or passes[base]
    return {name: may_pass for name, may_pass in passes.items() if name in created}


def test_each_message_is_in_the_code() -> None:
    known = "\n".join(texts())
    messages = [message for message, *_ in ROW.findall(PAGE)]
    assert len(messages) > 50
    assert [message for message in messages if message.strip("…").strip() not in known] == []


def test_each_error_that_users_meet_is_on_the_page_and_no_other() -> None:
    named = {name for _, names, _ in ROW.findall(PAGE) for name in re.findall(r"\w+", names)}
    assert named | IN_TEXT == errors().keys()
    assert [name for name in IN_TEXT if f"`{name}`" not in PAGE] == []


def test_errors_that_may_pass_are_marked() -> None:
    rows = [(names.strip("`"), bool(mark)) for _, names, mark in ROW.findall(PAGE) if "," not in names]
    assert [name for name, marked in rows if marked != errors()[name]] == []


@pytest.mark.parametrize("heading", ["Keys and plan", "Warehouse"])
def test_every_row_of_a_table_has_the_form_that_these_tests_read(heading: str) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows
    assert [row for row in rows if not ROW.match(row)] == []

"""docs/api-facts.md: each fact says how sure it is and where the code uses it."""

from __future__ import annotations

import re

from docs.api_facts import PAGE, facts_page
from refersion_dagster_tests.location import REPOSITORY

TEXT = PAGE.read_text("utf-8")
ROW = re.compile(r"^\| (.+) \| (\w+) \| ((?:`[\w/.]+`(?:, )?)+) \|$", re.MULTILINE)


def test_each_fact_has_a_mark_and_modules_that_exist() -> None:
    facts = ROW.findall(TEXT)
    assert len(facts) > 40
    assert {mark for _, mark, _ in facts} == {"documented", "seen", "inferred", "unknown"}
    modules = {module for *_, named in facts for module in re.findall(r"`([^`]+)`", named)}
    assert sorted(one for one in modules if not (REPOSITORY / "refersion_dagster" / one).is_file()) == []


def test_every_row_is_one_that_the_test_reads() -> None:
    tables = TEXT.partition("## Access")[2].partition("## Fields")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and not line.startswith("| fact")]
    assert [row for row in rows if not ROW.match(row)] == []


def test_the_fields_are_those_of_the_catalogue() -> None:
    """`make docs` writes them."""
    assert facts_page() == TEXT

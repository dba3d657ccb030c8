"""README and the pages of docs: their links and the names in them hold."""

import re
from pathlib import Path

import pytest
import yaml

from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.settings import VARIABLES
from refersion_dagster.settings.reference import example, written_page
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.location import REPOSITORY

PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), REPOSITORY / "benchmarks" / "README.md")
)
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MODULE = re.compile(r"`((?:[a-z_]+/)+[a-z_]*(?:\.py|\.sql)?)`")


def read(page: str) -> str:
    return (REPOSITORY / page).read_text("utf-8")


def anchors(path: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    headings = HEADING.findall(BLOCK.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_and_anchor_resolves(page: str) -> None:
    for link, image in LINK.findall(BLOCK.sub("", read(page))):
        target, _, anchor = (link or image).partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (REPOSITORY / page).parent / target if target else REPOSITORY / page
        assert path.exists(), f"{page}: {target}"
        assert path.resolve().is_relative_to(REPOSITORY), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page}: {target}#{anchor}"


def test_skills_are_named_like_their_folders_and_name_files_that_exist() -> None:
    skills = sorted(REPOSITORY.glob(".agents/skills/*/SKILL.md"))
    assert skills
    for skill in skills:
        _, head, body = skill.read_text("utf-8").split("---\n", 2)
        fields = yaml.safe_load(head)
        assert fields["name"] == skill.parent.name
        assert fields["description"]
        for name in re.findall(r"`([a-zA-Z_/]+\.(?:md|py))`", body):
            assert (REPOSITORY / name).exists(), name
        link = REPOSITORY / ".claude" / "skills" / skill.parent.name
        assert link.resolve() == skill.parent


def test_the_readme_leads_to_every_page() -> None:
    readme = read("README.md")
    assert len(readme.splitlines()) <= 150
    assert [page for page in PAGES if page != "README.md" and page.count("/") < 2 and f"]({page}" not in readme] == []


def test_every_module_and_folder_named_in_the_architecture_exists() -> None:
    named = set(MODULE.findall(read("docs/architecture.md")))
    assert len(named) > 20
    package = REPOSITORY / "refersion_dagster"
    # Asset keys and tests are written alike.
    others = {"actions/conversion_manual_credit", "refersion_dagster/"}
    assert sorted(name for name in named - others if not (package / name).exists()) == []


def test_the_settings_page_and_the_example_are_what_the_settings_say() -> None:
    """`make docs` writes both."""
    page = read("docs/settings.md")
    assert page == written_page(page)
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert len(listed) == len(VARIABLES)
    assert set(listed) == VARIABLES
    assert set(re.findall(r"REFERSION_[A-Z_]*[A-Z]", page)) <= VARIABLES
    assert read(".env.example") == example()


def test_the_tables_page_lists_every_raw_table_and_summary() -> None:
    named = set(re.findall(r"`(\w+)`", read("docs/tables.md")))
    assert {*ENTITIES, *(summary.name for summary in load_summaries())} - named == set()

"""Hooks of MkDocs: pages and files outside of docs/, and the pages of the dictionary in the navigation.

In the site, docs/ is the root and everything else has its path in the repository, so links are rewritten accordingly.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath as Path
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from refersion_dagster.documentation import CHECKOUT

OUTSIDE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md", "benchmarks/README.md")
LINK = re.compile(r"(\]\(|<img src=\")([^)\s\"#]+)")
DICTIONARY = "dictionary/"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the pages of the dictionary."""
    names = sorted(path.name for path in (CHECKOUT / "docs" / DICTIONARY).glob("*.md") if path.name != "README.md")
    pages = [f"{DICTIONARY}README.md", *(f"{DICTIONARY}{name}" for name in names)]
    config.nav = _replace(config.nav, pages)
    return config


def _replace(nav: Any, pages: list[str]) -> Any:
    if isinstance(nav, list):
        return [_replace(one, pages) for one in nav]
    if isinstance(nav, dict):
        return {title: pages if one == DICTIONARY else _replace(one, pages) for title, one in nav.items()}
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages outside of docs/, and every file outside of it that a page leads to."""
    for path in OUTSIDE:
        files.append(File.generated(config, path, abs_src_path=str(CHECKOUT / path)))
    for page in list(files.documentation_pages()):
        for _, target in LINK.findall(page.content_string):
            path = _repository_path(page.src_uri, target)
            if path is None or path.startswith("docs/") or files.get_file_from_path(path):
                continue
            if (CHECKOUT / path).is_file():
                files.append(File.generated(config, path, abs_src_path=str(CHECKOUT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrites links to what they are in the site."""

    def rewrite(match: re.Match[str]) -> str:
        path = _repository_path(page.file.src_uri, match[2])
        if path is None:
            return match[0]
        target = path.removeprefix("docs/")
        return f"{match[1]}{relpath(target, Path(page.file.src_uri).parent.as_posix())}"

    return LINK.sub(rewrite, markdown)


def _repository_path(page: str, link: str) -> str | None:
    """Returns the path in the repository to which a page links; None for other addresses.

    Args:
        page: the page's path in the site.
    """
    if "://" in link or link.startswith("mailto:"):
        return None
    folder = Path(page if page in OUTSIDE else f"docs/{page}").parent
    return normpath((folder / link).as_posix())

"""Parses HTML for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from xml.etree.ElementTree import Element, TreeBuilder

VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])
# Attributes that may name something to load or open.
ADDRESSES = ("src", "href", "xlink:href", "srcset", "action", "formaction", "data", "poster", "background", "ping")


class _Reader(HTMLParser):
    """Builds the tree and rejects elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tree, self.open = TreeBuilder(), list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute of <{tag}> is there twice"
        self.tree.start(tag, {name: value or "" for name, value in attrs})
        if tag in VOID:
            self.tree.end(tag)
        else:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"
        self.tree.end(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.tree.data(data)


def read(html: str) -> Element:
    """Returns the page's html element. Fails if elements are not closed in order."""
    assert html.startswith("<!doctype html>")
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader.tree.close()


def text(element: Element) -> str:
    """Returns the visible text of an element."""
    return " ".join("".join(element.itertext()).split())


def figure(element: Element) -> Decimal | None:
    """Returns the exact value of the figure in an element; None for a dash."""
    found = [data.get("value", "") for data in element.iter("data")]
    return Decimal(found[0]) if found else None


def tables(page: Element) -> dict[str, Element]:
    """Returns tables by the first line of their caption."""
    found = {text(caption[0]): table for table in page.iter("table") for caption in table.iter("caption")}
    assert len(found) == len(list(page.iter("table"))), "a table without a caption, or two with the same"
    return found


def rows(table: Element) -> list[list[Element]]:
    """Returns the cells of each row in a table's body."""
    return [list(row) for body in table.iter("tbody") for row in body]


def addresses(page: Element) -> Iterator[str]:
    """Returns everything that the page would load or open."""
    for element in page.iter():
        yield from (value for name, value in element.items() if name in ADDRESSES)
        for style in (element.get("style", ""), *([element.text or ""] if element.tag == "style" else [])):
            yield from re.findall(r"url\(\s*['\"]?([^'\")]*)|@import\s+([^;]*)", style)

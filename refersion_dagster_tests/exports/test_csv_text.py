"""Encodings, separators, and files that are not complete CSV files."""

import pytest

from refersion_dagster.refersion.errors import UnusableExport
from refersion_dagster.refersion.exports.csv_text import CsvText, read_csv

PLAIN = "Name,Note\nÉmile,ça va\n"


def read(content: str | bytes, written: str = "utf-8", **more: str | bool) -> CsvText:
    return read_csv(content if isinstance(content, bytes) else content.encode(written), "file.csv", **more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
    ],
)
def test_encodings_are_found(written: str, found: str) -> None:
    text = read(PLAIN, written)
    assert (text.encoding, list(text.header), list(text.records[0].cells)) == (
        found,
        ["Name", "Note"],
        ["Émile", "ça va"],
    )


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(separator: str) -> None:
    text = read(f'Name{separator}Note\n"a,b;c"{separator}d\n')
    assert (text.separator, list(text.records[0].cells)) == (separator, ["a,b;c", "d"])


def test_line_breaks_and_quotes_inside_of_cells_and_the_lines_that_rows_begin_on() -> None:
    text = read('Name,Note\r\n"a\nb","say ""hi"""\r\n\r\nc,d\r\n')
    assert [(record.line, list(record.cells)) for record in text.records] == [
        (2, ["a\nb", 'say "hi"']),
        (5, ["c", "d"]),
    ]


def test_a_header_without_rows_is_a_file() -> None:
    assert not read("Name,Note\n").records


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        ("Name,Note\na,b", "ends in the middle of line 2"),
        ("Name,Note\na\n", "Line 2 of file.csv has 1 cells, but the header has 2"),
        ("Name,Note\na,b\nc,d,e\n", "Line 3 of file.csv has 3 cells"),
        ('Name,Note\na,b\nc,"d\ne,f\n', "Line 3 of file.csv is not valid CSV"),
        ('Name,Note\na,"b"c\n', "Line 2 of file.csv is not valid CSV"),
        ("Name,Name\na,b\n", "column 'Name' more than once"),
        ("Name\na\n", "not clear what separates"),
        ("Name,First;Note\na,b;c\n", "not clear what separates"),
        (b"Name,Note\na,\xc3\xa9\nb,\xe9\n", "mixes encodings: line 2 is UTF-8, line 3 is not"),
        (b"Name,Note\na,\x81\n", "cannot be read as cp1252"),
        (b"\xef\xbb\xbfName,Note\na,\xe9\n", "cannot be read as utf-8-sig"),
    ],
)
def test_what_is_not_a_complete_file_is_refused(content: str | bytes, said: str) -> None:
    with pytest.raises(UnusableExport, match=said):
        read(content)


def test_what_is_declared_is_not_searched_for() -> None:
    assert read("Name,First;Note\na,b;c\n", separator=";").records[0].cells == ["a,b", "c"]
    assert read("Name,Note\na,ı\n", "cp1254", encoding="cp1254").records[0].cells == ["a", "ı"]
    assert read("Name,Note\na,b", may_lack_end=True).records[0].cells == ["a", "b"]
    with pytest.raises(UnusableExport, match="cannot be read as nonsense"):
        read(PLAIN, encoding="nonsense")

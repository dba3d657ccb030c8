"""File names of affiliates are safe and unique for any ids."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refersion_dagster.report.statements.file_names import file_name


@pytest.mark.parametrize("affiliate_id", ["37560058", "abc123", "1-2_3", "0"])
def test_an_id_that_is_safe_is_the_name(affiliate_id: str) -> None:
    assert file_name(affiliate_id) == affiliate_id


@pytest.mark.parametrize(
    ("affiliate_id", "begins"),
    [
        ("(unknown)", "unknown."),
        ("ann@example.com", "ann-example-com."),
        ("../../etc/passwd", "etc-passwd."),
        ("..", "affiliate."),
        ("", "affiliate."),
        ("C:\\x", "c-x."),
        ("ABC123", "abc123."),
        ("index", "index."),
        ("totals", "totals."),
        ("nul", "nul."),
        ("com1", "com1."),
        ("-rf", "rf."),
        ("小林", "affiliate."),
        ("a" * 300, f"{'a' * 40}."),
        ("x\0y\n", "x-y."),
    ],
)
def test_any_other_id_gives_what_is_safe_of_it(affiliate_id: str, begins: str) -> None:
    name = file_name(affiliate_id)
    assert name.startswith(begins)
    assert len(name) == len(begins) + 16


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), unique=True, max_size=8))
def test_different_ids_have_different_names_in_one_folder_whatever_the_disk_makes_of_capitals(ids: list[str]) -> None:
    names = [file_name(one) for one in ids]
    assert len({name.lower() for name in names}) == len(ids)
    for name in names:
        assert Path(name).name == name
        assert name == name.lower()
        assert name.isascii()
        assert name not in ("", ".", "..", "index", "totals")
        assert not name.startswith((".", "-"))
        assert len(f"{name}.html") < 128

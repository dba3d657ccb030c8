"""Sets of files without links: readers always get a complete set, whenever a run is stopped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from upath import UPath

from refersion_dagster.report.bucket_sets import NAME_FORMAT
from refersion_dagster.report.file_sets import current_set, replace_set
from refersion_dagster.report.storage import StorageError

RUN, KEPT = "1a2b3c4d-0000", 3


@pytest.fixture
def folder() -> UPath:
    """A folder in fsspec's in-memory file system, which has no links."""
    return UPath(f"memory://{uuid4().hex}")


def put(folder: UPath, text: str) -> UPath:
    with replace_set(folder / "current", folder / "versions", RUN, KEPT) as files:
        (files.building / "deep").mkdir()
        (files.building / "deep" / "er.txt").write_text(text)
    assert isinstance(files.done, UPath)
    return files.done


def seen(folder: UPath) -> str:
    found = current_set(folder / "current")
    assert found is not None
    return (found / "deep" / "er.txt").read_text("utf-8")


def versions(folder: UPath) -> list[str]:
    return sorted(one.name for one in (folder / "versions").iterdir())


def test_there_is_none_before_the_first(folder: UPath) -> None:
    assert current_set(folder / "current") is None
    put(folder, "first")
    assert seen(folder) == "first"


def test_a_small_file_leads_to_it_and_names_those_before(folder: UPath) -> None:
    done = [put(folder, text).name for text in ("first", "second")]
    said = json.loads((folder / "current.json").read_text("utf-8"))
    assert said == {"folder": f"versions/{done[1]}", "earlier": [f"versions/{done[0]}"]}
    assert seen(folder) == "second"


def test_the_last_ones_are_kept_and_older_ones_go(folder: UPath) -> None:
    done = [put(folder, str(number)).name for number in range(KEPT + 2)]
    assert versions(folder) == done[-KEPT:]


def test_one_that_fails_while_it_is_written_leaves_nothing(folder: UPath) -> None:
    done = put(folder, "first")
    building = list[Path]()

    def fail() -> None:
        with replace_set(folder / "current", folder / "versions", RUN, KEPT) as files:
            building.append(files.building)
            (files.building / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.exists() for path in building] == [False]
    assert versions(folder) == [done.name]
    assert seen(folder) == "first"


def test_what_a_stopped_run_left_goes_after_a_day_and_what_is_not_ours_stays(folder: UPath) -> None:
    done = put(folder, "first")
    begun = [datetime.now(UTC) - age for age in (timedelta(hours=23), timedelta(hours=25))]
    left = [f"{moment.strftime(NAME_FORMAT)}-dead" for moment in begun]
    for name in (*left, "notes"):
        (folder / "versions" / name).mkdir(parents=True)
        (folder / "versions" / name / "half").write_text("half")
    second = put(folder, "second")
    assert versions(folder) == sorted([done.name, second.name, left[0], "notes"])


def test_sets_of_stopped_runs_count_for_none_that_is_kept(folder: UPath) -> None:
    done = [put(folder, str(number)).name for number in range(KEPT - 1)]
    for number in range(KEPT):
        name = f"{(datetime.now(UTC) - timedelta(minutes=number)).strftime(NAME_FORMAT)}-dead"
        (folder / "versions" / name).mkdir(parents=True)
    done.append(put(folder, "last").name)
    assert set(done) <= set(versions(folder))


def test_a_file_of_somebody_else_in_its_place_is_not_overwritten(folder: UPath) -> None:
    folder.mkdir(parents=True)
    (folder / "current.json").write_text('{"theirs": true}')
    with pytest.raises(StorageError, match=r"current\.json does not say which set of files is current"):
        put(folder, "first")
    assert json.loads((folder / "current.json").read_text("utf-8")) == {"theirs": True}
    assert not (folder / "versions").exists()


def test_a_folder_of_this_machine_has_a_link(tmp_path: Path) -> None:
    assert current_set(tmp_path / "current") is None
    with replace_set(tmp_path / "current", tmp_path / "versions", RUN, KEPT) as files:
        (files.building / "one").write_text("1")
    assert current_set(tmp_path / "current") == files.done
    assert (tmp_path / "current").is_symlink()

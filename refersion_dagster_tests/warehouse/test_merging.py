"""A destination that can only append is refused before the first row is loaded."""

from __future__ import annotations

from pathlib import Path

import dlt
import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.errors import AppendsOnly
from refersion_dagster.warehouse.load import check_merges


def test_files_that_dlt_appends_to_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        AppendsOnly,
        match=r"cannot merge into the destination filesystem.+twice\. Nothing was loaded.+in a bucket that is ducklake",
    ):
        check_merges(dlt.destinations.filesystem(str(tmp_path)))


def test_files_that_it_merges_into_are_not(tmp_path: Path) -> None:
    check_merges(dlt.destinations.filesystem(str(tmp_path)), "delta")


def test_every_database_merges(warehouse: Warehouse) -> None:
    with warehouse.pipeline() as pipeline:
        assert pipeline.dataset_name == "refersion_data"

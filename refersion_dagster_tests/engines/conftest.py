"""The account for the tests of engines."""

from __future__ import annotations

import pytest

from refersion_dagster_tests.engines.evaluated_account import SETTINGS, Evaluated, Loaded, evaluated, load_account


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_account(tmp_path_factory.mktemp("loaded"))


@pytest.fixture(scope="module")
def accounts(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Evaluated]:
    folder = tmp_path_factory.mktemp
    return {zone: evaluated(loaded.database, settings, folder("built")) for zone, settings in SETTINGS.items()}

"""A sandbox with a loaded warehouse and a running daemon: every check passes, and the doctor changes nothing."""

import hashlib
from pathlib import Path

from refersion_dagster.doctor.examination import SECTIONS
from refersion_dagster.doctor.warehouse import ENGINE_NAMES
from refersion_dagster_tests.doctor.doctor_fixture import OK, WARNING, DoctorFixture


def test_everything_is_a_tick(loaded: DoctorFixture) -> None:
    examined = loaded.examined()
    assert examined.not_well() == {}
    assert examined.ok


def test_so_it_is_before_anything_was_loaded(patient: DoctorFixture) -> None:
    examined = patient.examined()
    assert examined.not_well() == {}
    assert "will be created by the first refresh" in examined["warehouse"].message


def test_each_check_is_there_once_and_in_the_order_of_the_page(patient: DoctorFixture) -> None:
    names = [check.name for check in patient.examined().findings.checks]
    # This account has no engine besides its warehouse.
    assert names == [name for section in SECTIONS.values() for name in section if name not in ENGINE_NAMES]


def test_nothing_but_reading_is_asked_of_refersion(loaded: DoctorFixture) -> None:
    loaded.examined()
    requests = loaded.sandbox.requests()
    assert set(requests) == {
        *("rest:/affiliate/list", "rest:/affiliate/get", "rest:/conversion/totals"),
        *("graphql:introspection", "graphql:conversions", "status"),
    }
    assert sum(requests.values()) < 20


def test_no_file_is_changed_or_made(loaded: DoctorFixture) -> None:
    def files() -> dict[Path, str]:
        found = [path for path in loaded.folder.rglob("*") if path.is_file()]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    before = files()
    loaded.examined()
    assert files() == before


def test_no_file_is_made_where_there_is_none(patient: DoctorFixture) -> None:
    patient.set(DAGSTER_HOME=str(patient.folder / "unused"), REFERSION_DUCKDB_PATH="deep/er/refersion.duckdb")
    (patient.folder / "unused").mkdir()
    patient.examined()
    assert list((patient.folder / "unused").iterdir()) == []
    assert not (patient.folder / "deep").exists()


def test_figures_are_told_beside_the_words(loaded: DoctorFixture) -> None:
    examined = loaded.examined()
    sums = loaded.sandbox.sums()
    assert examined["tables"].details["rows"]["conversions"] == sums["number_of_conversions"]
    assert examined["rest_pages"].details["affiliates"] == sums["affiliates"]
    assert examined["graphql_pages"].details["conversions"] == sums["number_of_conversions"]
    assert examined["totals"].details["reading"] == "in its own currency, without tests"
    assert examined["clock"].message == "the sandbox's own clock: 2025-07-01 00:00 UTC"
    assert {"python", "dagster", "dlt", "duckdb"} <= examined["versions"].details.keys()


def test_settings_of_dotenv_count_where_the_environment_says_nothing(patient: DoctorFixture) -> None:
    patient.set(REFERSION_SECRET_KEY=None, REFERSION_PII="keep")
    examined = patient.examined({"REFERSION_SECRET_KEY": patient.sandbox.secret_key, "REFERSION_PII": "nonsense"})
    assert examined.not_well() == {"setting_sources": WARNING}
    assert examined["setting_sources"].details["sources"][str(patient.folder / ".env")] == ["REFERSION_SECRET_KEY"]


def test_keys_of_dlts_own_configuration_count_too(patient: DoctorFixture) -> None:
    sandbox = patient.sandbox
    patient.set(REFERSION_PUBLIC_KEY=None, REFERSION_SECRET_KEY=None, REFERSION_GRAPHQL_TOKEN=None)
    patient.set(
        SOURCES__REFERSION_SOURCE__API_KEY=f"{sandbox.public_key}.{sandbox.secret_key}",
        SOURCES__REFERSION_SOURCE__GRAPHQL_TOKEN=sandbox.graphql_token,
    )
    examined = patient.examined()
    assert examined.not_well() == {}
    assert examined["rest_keys"].status is OK

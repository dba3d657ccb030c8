"""What doctor says of an account that is read from exports."""

from pathlib import Path

import pytest
from click import ClickException

from refersion_dagster.component.accounts import usual_account
from refersion_dagster.doctor.examination import list_sections
from refersion_dagster.doctor.exports.checks import NAMES, check_exports
from refersion_dagster.doctor.findings import DoctorReport, Status
from refersion_dagster.doctor.inputs import find_inputs
from refersion_dagster.doctor.settings import check_variables
from refersion_dagster.refresh.run import check_settings
from refersion_dagster.settings import Settings
from refersion_dagster_tests.exports.files import HEADER, ROWS, text, write

AFFILIATES = "Affiliate ID,Affiliate Code,Email\n7,a3y7,a@example.com\n"


def statuses(folder: Path) -> dict[str, Status]:
    return {check.name: check.status for check in check_exports(folder)}


def test_it_explains_which_column_is_which_and_how_sure_that_is(tmp_path: Path) -> None:
    write(tmp_path, text(header=HEADER.replace("Order ID", "Cart")))
    write(tmp_path, AFFILIATES, "affiliates 2026-07-01 0931.csv")
    folder, conversions, affiliates, performance, periods = check_exports(tmp_path)
    assert [check.name for check in (folder, conversions, affiliates, performance, periods)] == [*NAMES]
    assert "2 exports, time zone UTC (not declared in exports.yaml)" in folder.message
    assert conversions.status is Status.WARNING
    assert "2 rows, utf-8, comma" in conversions.message
    assert "sure: it has the name of the field (Conversion ID = id" in conversions.message
    assert "(Order Total = total, Commission = commission_total)" in conversions.message
    assert "not loaded (Cart)" in conversions.message
    assert conversions.details["columns"]["total"][0] == "Order Total"
    assert affiliates.status is Status.OK
    assert performance.status is Status.SKIPPED
    assert periods.message == "without a gap, up to 2026-07-01 09:30 (UTC)"


def test_what_a_refresh_would_refuse_fails(tmp_path: Path) -> None:
    assert statuses(tmp_path)["exports_folder"] is Status.FAILED
    write(tmp_path, text(*ROWS, ROWS[0]), "conversions from 2026-06-01 2026-07-01 0930.csv")
    write(tmp_path, text(), "conversions from 2026-05-01 to 2026-05-15 2026-07-01 0930.csv")
    assert statuses(tmp_path) == {
        "exports_folder": Status.OK,
        "exports_conversions": Status.FAILED,
        "exports_affiliates": Status.WARNING,
        "exports_performance": Status.SKIPPED,
        "exports_periods": Status.FAILED,
    }


def test_days_before_the_first_export_are_warned_of(tmp_path: Path) -> None:
    write(tmp_path, text(), "conversions from 2026-06-01 2026-07-01 0930.csv")
    found = {check.name: check for check in check_exports(tmp_path)}["exports_periods"]
    assert found.status is Status.WARNING
    assert found.message.startswith("No export has conversions made before 2026-06-01 (UTC).")
    assert found.remedy == "Export everything once."


def test_it_compares_the_performance_report_with_the_conversions(tmp_path: Path) -> None:
    write(tmp_path, text())
    name = "performance 2026-07-01 0933.csv"
    write(tmp_path, "Affiliate ID,Currency,Revenue,Commission\n7,USD,100.00,10.00\n", name)
    assert statuses(tmp_path)["exports_performance"] is Status.OK
    write(tmp_path, "Affiliate ID,Currency,Revenue,Commission\n7,USD,100.00,11.00\n", name)
    found = {check.name: check for check in check_exports(tmp_path)}["exports_performance"]
    assert found.status is Status.WARNING
    assert "likely: other programs use this name for the field (Revenue = total" in found.message
    assert "differs from the conversions in 1 of 1 sums" in found.message


def test_keys_are_not_needed_and_both_are_too_much(tmp_path: Path) -> None:
    path = {"REFERSION_EXPORTS_PATH": str(tmp_path)}
    for more, expected in (({}, Status.OK), ({"REFERSION_GRAPHQL_TOKEN": "gql_0123456789"}, Status.FAILED)):
        inputs = find_inputs(Settings.of({**path, **more}))
        found = {check.name: check for check in check_variables(inputs)}
        assert found["key_pair"].status is expected


def test_a_refresh_needs_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFERSION_EXPORTS_PATH", str(tmp_path))
    check_settings(usual_account())
    monkeypatch.setenv("REFERSION_LOOKBACK_DAYS", "many")
    with pytest.raises(ClickException, match="REFERSION_LOOKBACK_DAYS"):
        check_settings(usual_account())


def test_its_checks_are_a_section_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, text())
    assert list_sections(DoctorReport([*check_exports(tmp_path)])) == {"Exports": [*NAMES]}

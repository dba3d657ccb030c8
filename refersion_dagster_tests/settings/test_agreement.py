"""Each setting means one thing: doctor, runs, actions, receiver and plain pipeline have the same value of it.

All in one process, so that every variable is tried everywhere it can be set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from click import ClickException
from click.testing import CliRunner

from refersion_dagster.actions.cli import resources_of_settings
from refersion_dagster.automation.activity import interval
from refersion_dagster.automation.alerts import late_after
from refersion_dagster.automation.channels import unusable
from refersion_dagster.automation.schedules import CADENCES, cron_of, schedule
from refersion_dagster.automation.statements import CRON, CRON_VARIABLE
from refersion_dagster.doctor.inputs import DoctorInputs, find_inputs
from refersion_dagster.doctor.settings import KNOWN, check_variables, wrong_values
from refersion_dagster.ingest.webhooks.events import INBOX_VARIABLES, WebhookInbox
from refersion_dagster.pipeline import account_of, duckdb_path
from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.environment import VARIABLES
from refersion_dagster.refersion.environment import from_environment as of_pipeline
from refersion_dagster.refersion.errors import InvalidCredentials, UnusableSetting
from refersion_dagster.refresh.run import check_settings
from refersion_dagster.report.assets import PUBLISHING_VARIABLES, Publishing
from refersion_dagster.report.resource import REPORTS_VARIABLES, Reports
from refersion_dagster.resources import WAREHOUSE_VARIABLES, RefersionResource, Warehouse, from_environment
from refersion_dagster.settings import load_settings, writes_allowed
from refersion_dagster.summaries.settings import SETTINGS_VARIABLES, ReportSettings
from refersion_dagster.warehouse.duckdb.destination import limit_memory
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.webhooks.cli import webhooks
from refersion_dagster.webhooks.inbox_file import INBOX_VARIABLE
from refersion_dagster.webhooks.signature import SECRET_VARIABLE
from refersion_dagster_tests.location import REPOSITORY


@dataclass(frozen=True)
class Setting:
    """Two values that make sense, and one that does not where there is any."""

    good: str
    other: str
    nonsense: str | None = None


TABLE: Mapping[str, Setting] = {
    "REFERSION_PUBLIC_KEY": Setting("pub_0123456789", "pub_9876543210"),
    "REFERSION_SECRET_KEY": Setting("sec_0123456789", "sec_9876543210"),
    "REFERSION_GRAPHQL_TOKEN": Setting("gql_0123456789", "gql_9876543210"),
    "REFERSION_REST_URL": Setting("https://a.example.com/v2", "https://b.example.com/v2", "a.example.com"),
    "REFERSION_GRAPHQL_URL": Setting("https://a.example.com/g", "https://b.example.com/g", "ftp://a.example.com"),
    "REFERSION_START_DATE": Setting("2024-01-01", "2023-06-01", "yesterday"),
    "REFERSION_LOOKBACK_DAYS": Setting("5", "60", "many"),
    "REFERSION_PII": Setting("drop", "keep", "burn"),
    "REFERSION_PII_SALT": Setting("salty", "saltier"),
    "REFERSION_MAX_CONCURRENCY": Setting("2", "3", "0"),
    "REFERSION_RETRY_SECONDS": Setting("20", "30", "1.5"),
    "REFERSION_ROWS_PER_LOAD": Setting("1000", "2000", "-1"),
    "REFERSION_DESTINATION": Setting("duckdb", "postgres", "oracle"),
    "REFERSION_DUCKDB_PATH": Setting("/nowhere/a.duckdb", "/nowhere/b.duckdb"),
    "REFERSION_LOCK_TIMEOUT_SECONDS": Setting("7", "8", "soon"),
    "REFERSION_DUCKDB_MEMORY": Setting("1GB", "2GB", "lots"),
    "REFERSION_REPORT_TIMEZONE": Setting("Europe/Berlin", "America/New_York", "Mars/Olympus"),
    "REFERSION_MINIMUM_PAYOUT": Setting("50", "USD=50,EUR=45", "a lot"),
    "REFERSION_PLATFORM_FEE_PERCENT": Setting("3", "2.5", "three"),
    "REFERSION_SUBSCRIPTION": Setting("299", "USD=299", "some"),
    "REFERSION_CONTROL_TOLERANCE": Setting("0.05", "0.10", "little"),
    "REFERSION_ACCEPTED_DIFFERENCES": Setting(
        "2025-03 APPROVED UNPAID USD 1 12.50 125 by Ana Lee on 2025-04-02: order 77", "", "2025-03 APPROVED 12.50"
    ),
    "REFERSION_LAPSED_DAYS": Setting("90", "30", "long"),
    "REFERSION_RISING_DAYS": Setting("14", "7", "-7"),
    "REFERSION_AUTO_APPROVAL_DAYS": Setting("30", "60", "never"),
    "REFERSION_CREDIBILITY_ORDERS": Setting("10", "40", "few"),
    "REFERSION_PAY_AGAIN": Setting("900,901", "900", "all of them"),
    "REFERSION_WEBHOOK_INBOX": Setting("/nowhere/a.sqlite", "/nowhere/b.sqlite"),
    "REFERSION_WEBHOOK_SECRET": Setting("whsec_0123456789", "whsec_9876543210"),
    "REFERSION_PUBLISH_PATH": Setting("/nowhere/a", "/nowhere/b"),
    "REFERSION_REPORT_PATH": Setting("/nowhere/c", "/nowhere/d"),
    "REFERSION_MERCHANT_NAME": Setting("Acme & Söhne", "Acme"),
    "REFERSION_MERCHANT_ADDRESS": Setting("1 Main Street; Springfield", "Postfach 1"),
    "REFERSION_NIGHTLY_CRON": Setting("0 4 * * *", "0 2 * * *", "every night"),
    "REFERSION_HOURLY_CRON": Setting("5 * * * *", "10 * * * *", "* * *"),
    "REFERSION_WEEKLY_CRON": Setting("0 5 * * 1", "0 5 * * 2", "61 * * * *"),
    "REFERSION_HOURLY_LOOKBACK_DAYS": Setting("2", "4", "few"),
    "REFERSION_WEEKLY_LOOKBACK_DAYS": Setting("365", "500", "-3"),
    "REFERSION_SCHEDULE_TIMEZONE": Setting("Europe/Paris", "Asia/Tokyo", "Paris"),
    "REFERSION_STATEMENTS_CRON": Setting("0 7 1 * *", "0 8 1 * *", "monthly"),
    "REFERSION_ACTIVITY_SECONDS": Setting("60", "120", "often"),
    "REFERSION_ALERT_URLS": Setting("json://localhost/a", "json://localhost/b", "carrier-pigeon://coop"),
    "REFERSION_LATE_HOURS": Setting("10", "20", "late"),
    "REFERSION_DAGSTER_URL": Setting("http://a.example.com", "http://b.example.com"),
    "REFERSION_ALLOW_WRITES": Setting("true", "false", "yes"),
}
PREFIX = "REFERSION_"
RESOURCES: tuple[tuple[type[dg.ConfigurableResource], Mapping[str, str]], ...] = (
    (RefersionResource, VARIABLES),
    (Warehouse, WAREHOUSE_VARIABLES),
    (ReportSettings, SETTINGS_VARIABLES),
    (WebhookInbox, INBOX_VARIABLES),
    (Publishing, PUBLISHING_VARIABLES),
    (Reports, REPORTS_VARIABLES),
)
Values = dict[str, Any]


def of_run() -> Values:
    """As the resources of the code location have them once a run begins."""
    values: Values = {}
    for kind, variables in RESOURCES:
        made = made_for_run(kind, variables)
        values |= {variable: getattr(made, field) for field, variable in variables.items()}
    return values


def made_for_run(kind: type[dg.ConfigurableResource], variables: Mapping[str, str]) -> Any:
    """A resource with the values that Dagster reads when a run begins."""
    return kind(**{field: variable.get_value() for field, variable in from_environment(variables).items()})


def of_actions() -> Values:
    """As `refersion-dagster actions` has them."""
    warehouse, refersion = resources_of_settings()
    return {variable: getattr(refersion, field) for field, variable in VARIABLES.items()} | {
        variable: getattr(warehouse, field) for field, variable in WAREHOUSE_VARIABLES.items()
    }


def of_plain_pipeline() -> Values:
    """As `python -m refersion_dagster.pipeline` has them."""
    given = {VARIABLES[field]: value for field, value in of_pipeline().items()}
    return given | {"REFERSION_DUCKDB_PATH": duckdb_path()}


def of_receiver() -> Values:
    """As `refersion-dagster webhooks` has them."""
    with webhooks.make_context("webhooks", []) as context:
        return {INBOX_VARIABLE: str(context.params["path"]), SECRET_VARIABLE: os.environ.get(SECRET_VARIABLE)}


def of_doctor() -> Values:
    """As doctor looks at them."""
    return {name: value for name, value in find_inputs(load_settings()).environment.items() if name in KNOWN}


READERS: Mapping[str, Callable[[], Values]] = {
    "doctor": of_doctor,
    "run": of_run,
    "actions": of_actions,
    "plain pipeline": of_plain_pipeline,
    "receiver": of_receiver,
}


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, and an environment that names nothing of ours; both are as before afterwards."""
    monkeypatch.chdir(tmp_path)
    ours = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    forget_ours()
    yield
    forget_ours()
    os.environ.update(ours)


def forget_ours() -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]


def write_env_file(values: Mapping[str, str]) -> None:
    Path(".env").write_text("".join(f"{name}='{value}'\n" for name, value in values.items()), "utf-8")


def seen() -> dict[str, Values]:
    load_settings()
    return {reader: read() for reader, read in READERS.items()}


GOOD = {name: setting.good for name, setting in TABLE.items()}
OTHER = {name: setting.other for name, setting in TABLE.items()}


def test_every_setting_is_in_the_table() -> None:
    assert TABLE.keys() == KNOWN


@pytest.mark.parametrize(
    ("environment", "file"),
    [(GOOD, {}), ({}, GOOD), (GOOD, OTHER), (GOOD, GOOD)],
    ids=["environment", "file", "both, the environment takes precedence", "both alike"],
)
def test_all_have_the_value_that_is_set(environment: dict[str, str], file: dict[str, str]) -> None:
    os.environ.update(environment)
    write_env_file(file)
    for reader, values in seen().items():
        for name, value in values.items():
            assert str(value) == TABLE[name].good, f"{name} of the {reader}"
    # In the environment and in .env the stricter holds.
    assert writes_allowed() is (OTHER["REFERSION_ALLOW_WRITES"] != file.get("REFERSION_ALLOW_WRITES"))
    assert list(wrong_values(find_inputs(load_settings()))) == []


@pytest.mark.parametrize("misspelt", [False, True], ids=["absent", "misspelt"])
def test_without_a_setting_all_have_the_same_default(misspelt: bool) -> None:
    wrong = {f"{name}S": value for name, value in GOOD.items()} if misspelt else {}
    os.environ.update(wrong)
    found = seen()
    assert found["doctor"] == {}
    assert found["actions"] == {name: found["run"][name] for name in found["actions"]}
    assert found["receiver"] == {INBOX_VARIABLE: found["run"][INBOX_VARIABLE], SECRET_VARIABLE: None}
    assert found["plain pipeline"] == {
        "REFERSION_DUCKDB_PATH": str(Path(found["run"]["REFERSION_DUCKDB_PATH"]).resolve())
    }
    assert writes_allowed() is False
    names = next(check for check in check_variables(find_inputs(load_settings())) if check.name == "setting_names")
    assert set(names.details.get("unknown", [])) == wrong.keys()
    # REFERSION_PUBLIC_KEYS may as well be another variable: what is told is one that is there.
    likely = names.details.get("likely", {})
    assert set(likely) == set(wrong)
    assert all(likely[name] == name.removesuffix("S") for name in wrong)


def test_the_example_as_it_is_copied_is_refused_by_all_that_need_it() -> None:
    example = (REPOSITORY / ".env.example").read_text("utf-8")
    Path(".env").write_text(f"{example}\nREFERSION_WEBHOOK_SECRET=…\n", "utf-8")
    said = "REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY are placeholders from an example: replace each with your own."
    load_settings()
    (pair,) = [check for check in check_variables(find_inputs(load_settings())) if check.name == "key_pair"]
    assert pair.message == said
    with pytest.raises(ClickException) as refresh:
        check_settings()
    assert "REFERSION_WEBHOOK_SECRET is a placeholder" in str(refresh.value)
    forget_ours()
    Path(".env").write_text(example, "utf-8")
    with pytest.raises(ClickException, match=said):
        check_settings()
    _, refersion = resources_of_settings()
    for account in (
        made_for_run(RefersionResource, VARIABLES).account(),
        refersion.account(),
        account_of(of_pipeline()),
    ):
        with pytest.raises(InvalidCredentials, match=said):
            account.rest.call("/affiliate/list", {})
    os.environ["REFERSION_WEBHOOK_SECRET"] = "whsec_…"
    receiver = CliRunner().invoke(webhooks, [])
    assert "REFERSION_WEBHOOK_SECRET is a placeholder from an example" in receiver.output
    assert receiver.exit_code == 1
    assert not Path("refersion_webhooks.sqlite").exists()


def refused_by_run() -> None:
    """What a run, a schedule or a sensor does with a setting."""
    account = made_for_run(RefersionResource, VARIABLES)
    account.source(ReadReport())
    warehouse = made_for_run(Warehouse, WAREHOUSE_VARIABLES)
    assert warehouse.database
    made_for_run(ReportSettings, SETTINGS_VARIABLES).parameters()
    with duckdb.connect(":memory:") as connection:
        limit_memory(connection)
    for cadence in CADENCES:
        schedule(cadence, os.environ)
    cron_of(CRON_VARIABLE, CRON, os.environ)
    late_after(os.environ)
    interval(os.environ)
    writes_allowed()
    if found := list(unusable(os.environ)):
        raise ValueError(found[0])


# Addresses are found to be none by the first request.
NOT_TRIED_BY_RUN = ("REFERSION_REST_URL", "REFERSION_GRAPHQL_URL")


@pytest.mark.parametrize("in_file", [False, True], ids=["environment", "file"])
@pytest.mark.parametrize("name", [name for name, setting in TABLE.items() if setting.nonsense])
def test_nonsense_is_refused_by_all_that_read_it(name: str, in_file: bool) -> None:
    nonsense = TABLE[name].nonsense or ""
    if in_file:
        write_env_file({name: nonsense})
    else:
        os.environ[name] = nonsense
    given: DoctorInputs = find_inputs(load_settings())
    assert any(name in said for said in wrong_values(given))
    if name not in NOT_TRIED_BY_RUN:
        with pytest.raises((ValueError, UnusableSetting, WarehouseNotSet)):
            refused_by_run()
    if name in VARIABLES.values() and name not in NOT_TRIED_BY_RUN:
        (field,) = (field for field, variable in VARIABLES.items() if variable == name)
        with pytest.raises((ValueError, UnusableSetting), match=f"{name}|{field}"):
            refersion_source(**of_pipeline())

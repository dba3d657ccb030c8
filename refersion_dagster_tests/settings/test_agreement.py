"""Each setting means one thing: doctor, runs, actions, receiver and plain pipeline have the same value of it.

All in one process, so that every variable is tried everywhere it can be set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click import ClickException
from click.testing import CliRunner

from refersion_dagster.actions.cli import resources_of_account
from refersion_dagster.actions.orchestration.run import check_writes_allowed
from refersion_dagster.automation.activity import activity_sensor
from refersion_dagster.automation.alerts import alerts_sensor
from refersion_dagster.automation.channels import describe_unusable
from refersion_dagster.automation.schedules import schedules
from refersion_dagster.automation.statements import statements_schedule
from refersion_dagster.code_location import resources
from refersion_dagster.component.accounts import usual_account
from refersion_dagster.doctor.inputs import DoctorInputs, find_inputs
from refersion_dagster.doctor.settings import check_variables
from refersion_dagster.pipeline import account_of, duckdb_path
from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.errors import InvalidCredentials, UnusableSetting
from refersion_dagster.refresh.run import check_settings
from refersion_dagster.resources import RefersionResource
from refersion_dagster.settings import (
    ALLOW_WRITES,
    VARIABLES,
    AccountSettings,
    FigureSettings,
    OutputSettings,
    Settings,
    WarehouseSettings,
    WebhookSettings,
    load_settings,
)
from refersion_dagster.settings.part import SettingsPart
from refersion_dagster.warehouse.errors import WarehouseNotSet
from refersion_dagster.webhooks.cli import webhooks
from refersion_dagster_tests.location import REPOSITORY, fresh_instance
from refersion_dagster_tests.marks import limit_cases


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
    "REFERSION_STATUS_URL": Setting("https://a.example.com", "off", "on"),
    "REFERSION_EXPORTS_PATH": Setting("/nowhere/exports", "/nowhere/others"),
    "REFERSION_START_DATE": Setting("2024-01-01", "2023-06-01", "yesterday"),
    "REFERSION_LOOKBACK_DAYS": Setting("5", "60", "many"),
    "REFERSION_PII": Setting("drop", "keep", "burn"),
    "REFERSION_PII_SALT": Setting("salty", "saltier"),
    "REFERSION_MAX_CONCURRENCY": Setting("2", "3", "0"),
    "REFERSION_RETRY_SECONDS": Setting("20", "30", "1.5"),
    "REFERSION_ROWS_PER_LOAD": Setting("1000", "2000", "-1"),
    # Folders without a file that has the name of a variable.
    "REFERSION_SECRETS_DIR": Setting("/", "/usr"),
    "REFERSION_DESTINATION": Setting("duckdb", "postgres", "oracle"),
    "DESTINATION__POSTGRES__CREDENTIALS": Setting(
        "postgresql://a@db.example.com/r", "postgresql://b@db.example.com/r", "postgresql://user:password@host/database"
    ),
    "DESTINATION__BIGQUERY__CREDENTIALS": Setting('{"project_id": "a"}', '{"project_id": "b"}'),
    "REFERSION_DUCKDB_PATH": Setting("/nowhere/a.duckdb", "/nowhere/b.duckdb"),
    "REFERSION_JOURNAL": Setting("sqlite:////nowhere/a.sqlite", "sqlite:////nowhere/b.sqlite", "a.sqlite"),
    "REFERSION_LOCK_TIMEOUT_SECONDS": Setting("7", "8", "soon"),
    "REFERSION_SUMMARIES_ENGINE": Setting("spark", "warehouse", "abacus"),
    # Only an engine reads them; see warehouse/test_engine.py.
    "REFERSION_SPARK_REMOTE": Setting("sc://a.example.com", "sc://b.example.com"),
    "REFERSION_SPARK_FOLDER": Setting("/nowhere/i", "/nowhere/j"),
    "REFERSION_DUCKDB_MEMORY": Setting("1GB", "2GB", "1KB"),
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
    "REFERSION_SUMMARIES_PATH": Setting("/nowhere/e", "/nowhere/f"),
    "REFERSION_CHECKS_PATH": Setting("/nowhere/g", "/nowhere/h"),
    "REFERSION_ASSISTANT_TOKEN": Setting("token_0123456789abcdef", "token_9876543210fedcba"),
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
INBOX_VARIABLE, SECRET_VARIABLE = "REFERSION_WEBHOOK_INBOX", "REFERSION_WEBHOOK_SECRET"
# The resources of the code location, with the part of the settings that each is made of and names that differ.
RESOURCES: Mapping[str, tuple[type[SettingsPart], Mapping[str, str]]] = {
    "refersion": (AccountSettings, {}),
    "warehouse": (WarehouseSettings, {}),
    "settings": (FigureSettings, {}),
    "webhook_inbox": (WebhookSettings, {"path": "webhook_inbox"}),
    "publishing": (OutputSettings, {"folder": "publish_path"}),
    "reports": (OutputSettings, {"folder": "report_path"}),
}
Values = dict[str, Any]


def of_run(settings: Settings) -> Values:
    """As the resources of the code location have them once a run begins."""
    values: Values = {}
    for name, made in resources_of_run(settings).items():
        part, names = RESOURCES[name]
        values |= {part.variable(names.get(field, field)): getattr(made, field) for field in type(made).model_fields}
    return values


def resources_of_run(settings: Settings) -> dict[str, Any]:
    """The resources with the values that Dagster reads when a run begins."""
    return {name: begun(made) for name, made in resources(settings).items() if name in RESOURCES}


def begun(resource: dg.ConfigurableResource) -> Any:
    values = {field: getattr(resource, field) for field in type(resource).model_fields}
    return type(resource)(
        **{name: one.get_value() if hasattr(one, "get_value") else one for name, one in values.items()}
    )


def of_actions(_settings: Settings) -> Values:
    """As `refersion-dagster actions` has them."""
    warehouse, refersion = resources_of_account(None)
    return {AccountSettings.variable(field): getattr(refersion, field) for field in type(refersion).model_fields} | {
        WarehouseSettings.variable(field): getattr(warehouse, field) for field in type(warehouse).model_fields
    }


def of_plain_pipeline(settings: Settings) -> Values:
    """As `python -m refersion_dagster.pipeline` has them."""
    given = {AccountSettings.variable(field): value for field, value in settings.account.list_set_values().items()}
    return given | {"REFERSION_DUCKDB_PATH": duckdb_path(settings)}


def of_receiver(settings: Settings) -> Values:
    """As `refersion-dagster webhooks` has them."""
    secret = settings.webhooks.webhook_secret
    with webhooks.make_context("webhooks", []) as context:
        return {
            INBOX_VARIABLE: str(context.params["path"]),
            SECRET_VARIABLE: secret.get_secret_value() if secret else None,
        }


def of_doctor(settings: Settings) -> Values:
    """As doctor looks at them; of REFERSION_ALLOW_WRITES the stricter holds."""
    found = find_inputs(settings).settings.variables
    return {name: value for name, value in found.items() if name in VARIABLES and name != ALLOW_WRITES}


READERS: Mapping[str, Callable[[Settings], Values]] = {
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
    ours = {name: value for name, value in os.environ.items() if name.startswith(PREFIX) or name in VARIABLES}
    forget_ours()
    yield
    forget_ours()
    os.environ.update(ours)


def forget_ours() -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX) or name in VARIABLES]:
        del os.environ[name]


def write_env_file(values: Mapping[str, str]) -> None:
    Path(".env").write_text("".join(f"{name}='{value}'\n" for name, value in values.items()), "utf-8")


def seen() -> dict[str, Values]:
    settings = load_settings()
    return {reader: read(settings) for reader, read in READERS.items()}


GOOD = {name: setting.good for name, setting in TABLE.items()}
OTHER = {name: setting.other for name, setting in TABLE.items()}


def test_every_setting_is_in_the_table() -> None:
    assert TABLE.keys() == VARIABLES


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
    settings = load_settings()
    assert settings.actions.allow_writes is (OTHER["REFERSION_ALLOW_WRITES"] != file.get("REFERSION_ALLOW_WRITES"))
    assert find_inputs(settings).problems == []


@pytest.mark.parametrize("misspelt", [False, True], ids=["absent", "misspelt"])
def test_without_a_setting_all_have_the_same_default(misspelt: bool) -> None:
    names = [name for name in GOOD if name.startswith(PREFIX)] if misspelt else []
    wrong = {f"{name}S": GOOD[name] for name in names}
    os.environ.update(wrong)
    found = seen()
    assert found["doctor"] == {}
    assert found["actions"] == {name: found["run"][name] for name in found["actions"]}
    assert found["receiver"] == {INBOX_VARIABLE: found["run"][INBOX_VARIABLE], SECRET_VARIABLE: None}
    assert found["plain pipeline"] == {
        "REFERSION_DUCKDB_PATH": str(Path(found["run"]["REFERSION_DUCKDB_PATH"]).resolve())
    }
    assert load_settings().actions.allow_writes is False
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
        check_settings(usual_account())
    assert "REFERSION_WEBHOOK_SECRET is a placeholder" in str(refresh.value)
    forget_ours()
    Path(".env").write_text(example, "utf-8")
    with pytest.raises(ClickException, match=said):
        check_settings(usual_account())
    _, refersion = resources_of_account(None)
    for account in (
        resources_of_run(load_settings())["refersion"].account(),
        refersion.account(),
        account_of(load_settings().account),
    ):
        with pytest.raises(InvalidCredentials, match=said):
            account.rest.call("/affiliate/list", {})
    os.environ["REFERSION_WEBHOOK_SECRET"] = "whsec_…"
    receiver = CliRunner().invoke(webhooks, [])
    assert "REFERSION_WEBHOOK_SECRET is a placeholder from an example" in receiver.output
    assert receiver.exit_code == 1
    assert not Path("refersion_webhooks.sqlite").exists()


def refused_by_run(settings: Settings) -> None:
    """What a run, a schedule or a sensor does with a setting."""
    made = resources_of_run(settings)
    made["refersion"].source(ReadReport())
    with made["warehouse"].write_lock(print), made["warehouse"].pipeline():
        pass
    with made["warehouse"].compute_session():
        pass
    made["settings"].parameters()
    check_writes_allowed(settings)
    with fresh_instance() as instance:
        for schedule in (*schedules(settings), statements_schedule(settings)):
            at = datetime(2026, 1, 1, tzinfo=UTC)
            with dg.build_schedule_context(instance, scheduled_execution_time=at) as context:
                schedule.evaluate_tick(context)
        with dg.build_sensor_context(instance, resources={"refersion": RefersionResource()}) as context:
            activity_sensor(settings).evaluate_tick(context)
        with dg.build_sensor_context(instance) as context:
            said = alerts_sensor(settings).evaluate_tick(context).skip_message or ""
    if said.startswith("REFERSION_") and "is not set" not in said:
        raise ValueError(said)
    if found := describe_unusable(settings.alerts):
        raise ValueError(found[0])


# Dagster wraps what a schedule or a sensor raises in an error of its own.
REFUSALS = (ValueError, UnusableSetting, WarehouseNotSet, dg.DagsterError, dg.Failure)
# Addresses are found to be none by the first request. That of the status page is not needed.
NOT_TRIED_BY_RUN = ("REFERSION_REST_URL", "REFERSION_GRAPHQL_URL", "REFERSION_STATUS_URL")


@pytest.mark.parametrize("in_file", limit_cases([pytest.param(False, id="environment"), pytest.param(True, id="file")]))
@pytest.mark.parametrize("name", [name for name, setting in TABLE.items() if setting.nonsense])
def test_nonsense_is_refused_by_all_that_read_it(name: str, in_file: bool) -> None:
    nonsense = TABLE[name].nonsense or ""
    if in_file:
        write_env_file({name: nonsense})
    else:
        os.environ[name] = nonsense
    settings = load_settings()
    given: DoctorInputs = find_inputs(settings)
    assert [said for said in given.problems if name in said] == given.problems != []
    if name not in NOT_TRIED_BY_RUN:
        with pytest.raises(REFUSALS):
            refused_by_run(settings)
    if name in AccountSettings.variables().values():
        with pytest.raises(ValueError, match=name):
            refersion_source()

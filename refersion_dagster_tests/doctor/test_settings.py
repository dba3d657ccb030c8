"""Settings that are missing, malformed or misspelled."""

import re

import pytest

import refersion_dagster
from refersion_dagster.doctor.settings import OTHER_NAMES
from refersion_dagster.settings import VARIABLES
from refersion_dagster_tests.doctor.doctor_fixture import FAILED, SKIPPED, WARNING, DoctorFixture
from refersion_dagster_tests.location import REPOSITORY
from refersion_dagster_tests.marks import limit_cases


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    limit_cases(
        [
            ("REFERSION_START_DATE", "last spring", "REFERSION_START_DATE is 'last spring'; it has to be a date"),
            ("REFERSION_LOOKBACK_DAYS", "many", "REFERSION_LOOKBACK_DAYS is 'many'; it has to be a whole number."),
            ("REFERSION_MAX_CONCURRENCY", "0", "REFERSION_MAX_CONCURRENCY is '0'; it has to be 1 or more."),
            ("REFERSION_RETRY_SECONDS", "-3", "REFERSION_RETRY_SECONDS is '-3'; it has to be 0 or more."),
            ("REFERSION_ROWS_PER_LOAD", "1e5", "REFERSION_ROWS_PER_LOAD is '1e5'"),
            ("REFERSION_PII", "sometimes", "REFERSION_PII is 'sometimes'; it has to be hash, keep or drop."),
            ("REFERSION_LOCK_TIMEOUT_SECONDS", "an hour", "REFERSION_LOCK_TIMEOUT_SECONDS is 'an hour'"),
            ("REFERSION_LATE_HOURS", "soon", "REFERSION_LATE_HOURS is 'soon'"),
            ("REFERSION_REPORT_TIMEZONE", "Mars", "REFERSION_REPORT_TIMEZONE is 'Mars'"),
            ("REFERSION_MINIMUM_PAYOUT", "USD:50", "REFERSION_MINIMUM_PAYOUT is 'USD:50'"),
            ("REFERSION_SUBSCRIPTION", "free", "REFERSION_SUBSCRIPTION is 'free'"),
            ("REFERSION_NIGHTLY_CRON", "every night", "REFERSION_NIGHTLY_CRON is 'every night'"),
            ("REFERSION_SCHEDULE_TIMEZONE", "here", "REFERSION_SCHEDULE_TIMEZONE is 'here'"),
            ("REFERSION_HOURLY_LOOKBACK_DAYS", "few", "REFERSION_HOURLY_LOOKBACK_DAYS is 'few'"),
            ("REFERSION_START_DATE", "2124-01-01", "REFERSION_START_DATE is '2124-01-01', which is in the future."),
            ("REFERSION_DUCKDB_MEMORY", "lots", "REFERSION_DUCKDB_MEMORY is 'lots'; it has to be a size"),
            ("REFERSION_DUCKDB_MEMORY", "-1", "REFERSION_DUCKDB_MEMORY is '-1'; it has to be a size"),
            (
                "REFERSION_DUCKDB_MEMORY",
                "0MB",
                "REFERSION_DUCKDB_MEMORY is '0MB'; it has to be a size of at least 16MB",
            ),
            (
                "REFERSION_DUCKDB_MEMORY",
                "1KB",
                "REFERSION_DUCKDB_MEMORY is '1KB'; it has to be a size of at least 16MB",
            ),
            ("REFERSION_ALLOW_WRITES", "yes", "REFERSION_ALLOW_WRITES is 'yes'; it has to be true or false."),
            ("REFERSION_ACTIVITY_SECONDS", "0", "REFERSION_ACTIVITY_SECONDS is '0'; it has to be 1 or more."),
            ("REFERSION_STATEMENTS_CRON", "monthly", "REFERSION_STATEMENTS_CRON is 'monthly'"),
            (
                "REFERSION_ALERT_URLS",
                "slak://token",
                "channel 1 (slak) of REFERSION_ALERT_URLS is not a valid apprise URL",
            ),
        ],
        5,
    ),
)
def test_a_value_that_makes_no_sense_is_told_with_what_does(
    patient: DoctorFixture, variable: str, value: str, said: str
) -> None:
    patient.set(**{variable: value})
    examined = patient.examined()
    assert examined.not_well() == {"settings": FAILED}
    assert said in examined["settings"].message
    assert examined["settings"].remedy


def test_several_are_told_at_once(patient: DoctorFixture) -> None:
    patient.set(REFERSION_PII="sometimes", REFERSION_LOOKBACK_DAYS="many", REFERSION_LAPSED_DAYS="0")
    wrong = patient.examined()["settings"].details["wrong"]
    assert [re.findall("REFERSION_[A-Z_]+", said)[0] for said in wrong] == [
        *("REFERSION_LOOKBACK_DAYS", "REFERSION_PII", "REFERSION_LAPSED_DAYS"),
    ]


@pytest.mark.parametrize("address", ["api.refersion.com", "ftp://api.refersion.com", "https://", "http://[::1"])
def test_an_address_that_is_none_is_told_and_asked_for_nothing(patient: DoctorFixture, address: str) -> None:
    patient.set(REFERSION_REST_URL=address)
    examined = patient.examined()
    assert "REFERSION_REST_URL is not a valid URL" in examined["settings"].message
    assert examined["rest_connection"].status is FAILED
    assert not examined.ok


def test_a_key_in_the_place_of_another_setting_is_not_repeated(patient: DoctorFixture) -> None:
    patient.set(REFERSION_START_DATE="sec_0123456789abcdef", REFERSION_PII=patient.sandbox.graphql_token)
    said = patient.examined()["settings"].message
    assert "REFERSION_START_DATE is '[hidden]'; it has to be a date" in said
    assert "0123" not in said


def test_a_name_that_nothing_reads_is_told_with_the_one_that_was_meant(patient: DoctorFixture) -> None:
    patient.set(REFERSION_LOKBACK_DAYS="30", REFERSION_COLOUR="blue", REFERSION_API_KEY="x")
    examined = patient.examined({"REFERSON_PII": "keep", "OTHER_PROGRAM": "1"})
    assert examined.not_well() == {"setting_names": WARNING}
    assert examined.ok
    told = examined["setting_names"]
    assert told.message == (
        "unknown: REFERSION_API_KEY (did you mean REFERSION_SECRET_KEY?), REFERSION_COLOUR, "
        "REFERSION_LOKBACK_DAYS (did you mean REFERSION_LOOKBACK_DAYS?), REFERSON_PII (did you mean REFERSION_PII?)"
    )


@pytest.mark.parametrize(("environment", "file"), [("true", "false"), ("false", "true")])
def test_writes_are_allowed_by_neither_place_alone(patient: DoctorFixture, environment: str, file: str) -> None:
    patient.set(REFERSION_ALLOW_WRITES=environment)
    told = patient.examined({"REFERSION_ALLOW_WRITES": file})["setting_sources"]
    assert "REFERSION_ALLOW_WRITES also has another value in " in told.message
    assert "; both have to be true." in told.message


def test_each_value_is_told_with_where_it_comes_from_and_what_it_overrules(patient: DoctorFixture) -> None:
    patient.set(REFERSION_LOOKBACK_DAYS="30")
    examined = patient.examined({"REFERSION_LOOKBACK_DAYS": "60", "REFERSION_PII": "drop"})
    assert examined.not_well() == {"setting_sources": WARNING}
    told = examined["setting_sources"]
    assert "REFERSION_LOOKBACK_DAYS also has another value in " in told.message
    assert "the environment takes precedence" in told.message
    assert told.details["overruled"] == ["REFERSION_LOOKBACK_DAYS"]
    places = told.details["sources"]
    assert "REFERSION_LOOKBACK_DAYS" in places["environment"]
    assert places[str(patient.folder / ".env")] == ["REFERSION_PII"]


def test_every_variable_that_the_package_names_is_known() -> None:
    """This includes texts, except for wrong names that the doctor recognizes."""
    (package,) = refersion_dagster.__path__
    texts = [path.read_text("utf-8") for path in (REPOSITORY / package).rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"\bREFERSION_[A-Z_]*[A-Z]\b", text)}
    assert len(named) > 20
    assert named - VARIABLES - OTHER_NAMES.keys() == set()


class TestKeys:
    @pytest.mark.parametrize("absent", ["REFERSION_PUBLIC_KEY", "REFERSION_SECRET_KEY"])
    def test_half_a_pair_is_told_and_rest_is_not_asked(self, patient: DoctorFixture, absent: str) -> None:
        patient.set(**{absent: None})
        examined = patient.examined()
        assert not examined.ok
        assert f"but {absent} is not set" in examined["key_pair"].message
        assert "Account > Settings > Refersion API" in (examined["key_pair"].remedy or "")
        assert examined["rest_keys"].status is SKIPPED
        assert not [route for route in patient.sandbox.requests() if route.startswith("rest")]

    def test_no_pair_at_all_costs_some_figures_and_no_refresh(self, patient: DoctorFixture) -> None:
        patient.set(REFERSION_PUBLIC_KEY=None, REFERSION_SECRET_KEY=None)
        examined = patient.examined()
        assert examined.ok
        assert examined["key_pair"].status is WARNING
        remedy = examined["key_pair"].remedy or ""
        assert "affiliate_list, affiliate_get and conversion_totals stay empty" in remedy
        assert re.search(r"and \d+ columns of summaries are NULL \(\w+, ", remedy)

    def test_a_token_that_is_absent_is_told_and_graphql_is_not_asked(self, patient: DoctorFixture) -> None:
        patient.set(REFERSION_GRAPHQL_TOKEN="")
        examined = patient.examined()
        assert not examined.ok
        assert "REFERSION_GRAPHQL_TOKEN is not set" in examined["token"].message
        assert (
            "Without it affiliates, conversions, payments, offers, clicks are not loaded" in examined["token"].message
        )
        assert examined["graphql_token"].status is SKIPPED
        assert examined["rest_keys"].status.value == "ok"
        assert not [route for route in patient.sandbox.requests() if route.startswith("graphql")]

    @pytest.mark.parametrize("example", ["sec_…", "sec_...", "<secret key>", "your_secret_key"])
    def test_what_an_example_has_in_a_keys_place_is_no_key(self, patient: DoctorFixture, example: str) -> None:
        patient.set(REFERSION_SECRET_KEY=example)
        examined = patient.examined()
        assert examined["key_pair"].message == (
            "REFERSION_SECRET_KEY is a placeholder from an example: replace it with your own."
        )
        assert not examined.ok
        assert not [route for route in patient.sandbox.requests() if route.startswith("rest")]

    def test_what_an_example_has_in_the_place_of_another_secret_is_none_either(self, patient: DoctorFixture) -> None:
        credentials = "DESTINATION__POSTGRES__CREDENTIALS"
        (example,) = re.findall(f"{credentials}=(.*)", (REPOSITORY / ".env.example").read_text())
        patient.set(**{credentials: example, "REFERSION_WEBHOOK_SECRET": "…", "REFERSION_ALERT_URLS": "slack://…"})
        said = patient.examined()["settings"].message
        for name in (credentials, "REFERSION_WEBHOOK_SECRET", "REFERSION_ALERT_URLS"):
            assert f"{name} is a placeholder from an example: replace it with your own." in said

    def test_keys_in_each_others_places_are_told(self, patient: DoctorFixture) -> None:
        sandbox = patient.sandbox
        patient.set(REFERSION_PUBLIC_KEY=sandbox.secret_key, REFERSION_SECRET_KEY=sandbox.public_key)
        examined = patient.examined()
        assert examined["key_pair"].message == "public and secret key are swapped"
        assert examined["rest_keys"].status is FAILED

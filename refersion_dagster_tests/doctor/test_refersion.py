"""Refersion's two APIs, each broken in one way: which checks fail, and their messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from refersion_dagster.doctor import inputs
from refersion_dagster.doctor.apis import graphql, rest
from refersion_dagster.doctor.findings import Status
from refersion_dagster.refersion.api import transport
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.doctor.doctor_fixture import FAILED, OK, SKIPPED, WARNING, DoctorFixture, environment_of
from refersion_dagster_tests.location import SMALL

NOT_IN_PLAN = "Your account plan does not support this feature (error 1)."
AFTER_KEYS = {"rest_plan": SKIPPED, "rest_pages": SKIPPED}
AFTER_TOKEN = dict.fromkeys(graphql.NAMES[2:], SKIPPED)


def wrong_key(patient: DoctorFixture) -> None:
    patient.set(REFERSION_SECRET_KEY="sec_of_somebody_else")


def nobody_at_rest(patient: DoctorFixture) -> None:
    patient.set(REFERSION_REST_URL="http://127.0.0.1:9/v2")


def nobody_at_graphql(patient: DoctorFixture) -> None:
    patient.set(REFERSION_GRAPHQL_URL="http://127.0.0.1:9/graphql")


def no_refersion_at_rest(patient: DoctorFixture) -> None:
    patient.sandbox.fault("rest", "status", times=None, status=200, body="<html>Welcome to nginx</html>")
    patient.sandbox.fault("rest", "status", times=None, status=418)


def fault(route: str, kind: str, **details: Any) -> Callable[[DoctorFixture], None]:
    def breaks(patient: DoctorFixture) -> None:
        patient.sandbox.fault(route, kind, times=None, **details)

    return breaks


def switch(**switches: Any) -> Callable[[DoctorFixture], None]:
    def breaks(patient: DoctorFixture) -> None:
        patient.sandbox.configure(**switches)

    return breaks


def refused_user_agent(patient: DoctorFixture) -> None:
    """The edge refuses user agents of libraries, and ours is set to one."""
    patient.sandbox.configure(refuse_library_user_agents=True)
    patient.monkeypatch.setattr(transport, "USER_AGENT", "python-requests/2.32")


def old_token(**switches: Any) -> Callable[[DoctorFixture], None]:
    def breaks(patient: DoctorFixture) -> None:
        patient.sandbox.configure(**switches)
        patient.set(REFERSION_GRAPHQL_TOKEN="gql_expired_long_ago")

    return breaks


Broken = tuple[Callable[[DoctorFixture], None], dict[str, Status], str, str]
BROKEN: dict[str, Broken] = {
    "wrong key": (
        wrong_key,
        {"rest_keys": FAILED, **AFTER_KEYS},
        "refused: Invalid API credentials (error 2).",
        "Check REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY.",
    ),
    "nobody at REST": (
        nobody_at_rest,
        {"rest_connection": FAILED, **dict.fromkeys(rest.NAMES[1:], SKIPPED)},
        "cannot connect to 127.0.0.1:9",
        "REFERSION_REST_URL",
    ),
    "errors of REST": (
        fault("rest", "500"),
        {"rest_connection": FAILED, **dict.fromkeys(rest.NAMES[1:5], SKIPPED)},
        "HTTP 500",
        "REFERSION_REST_URL",
    ),
    "another server than Refersion's": (
        fault("rest", "status", status=418),
        {"rest_connection": FAILED, **dict.fromkeys(rest.NAMES[1:5], SKIPPED)},
        "responds, but not like Refersion: HTTP 418",
        "REFERSION_REST_URL",
    ),
    "too many calls": (
        fault("rest", "429-retry-after", seconds=3600),
        {"rest_connection": FAILED, **dict.fromkeys(rest.NAMES[1:5], SKIPPED)},
        "too many requests",
        "REFERSION_REST_URL",
    ),
    "user agent refused": (
        refused_user_agent,
        {"user_agent": FAILED, "rest_keys": SKIPPED, **AFTER_KEYS},
        "rejects this program before it checks the keys",
        "python-requests/2.32",
    ),
    "totals not in the plan": (
        switch(plan_excludes=["/conversion/totals"]),
        {"rest_plan": WARNING},
        f'/conversion/totals is not in the plan: "{NOT_IN_PLAN}"',
        "A refresh still works: conversion_totals stays empty, and",
    ),
    "REST not in the plan": (
        switch(plan_excludes=["/affiliate/list", "/affiliate/get", "/conversion/totals"]),
        {"rest_plan": WARNING, "rest_pages": SKIPPED},
        "/affiliate/list is not in the plan",
        "affiliate_list, affiliate_get and conversion_totals stay empty",
    ),
    "short pages of REST": (
        fault("rest:/affiliate/list", "status", status=200, body={"total": "4,200", "results": [{"id": "a1"}] * 25}),
        {"rest_pages": WARNING},
        "pages of 25 affiliates instead of the requested 100",
        "No data is lost",
    ),
    "nobody at GraphQL": (
        nobody_at_graphql,
        {"graphql_connection": FAILED, **dict.fromkeys(graphql.NAMES[1:], SKIPPED)},
        "cannot connect to 127.0.0.1:9",
        "REFERSION_GRAPHQL_URL",
    ),
    "expired token": (
        old_token(),
        {"graphql_token": FAILED, **AFTER_TOKEN},
        "refused: Invalid X-Refersion-Key.",
        "Check REFERSION_GRAPHQL_TOKEN.",
    ),
    "expired token, told in a 200": (
        old_token(bad_token_status=200),
        {"graphql_token": FAILED, **AFTER_TOKEN},
        "refused: Invalid X-Refersion-Key.",
        "Check REFERSION_GRAPHQL_TOKEN.",
    ),
    "GraphQL not in the plan": (
        fault("graphql", "graphql-error", message=NOT_IN_PLAN),
        {"graphql_token": FAILED, **AFTER_TOKEN},
        f"refused: {NOT_IN_PLAN}",
        "Growth plan",
    ),
    "introspection off": (
        switch(introspection="refused"),
        {"introspection": WARNING},
        "the fields of this account are determined by trial queries",
        "No action is required",
    ),
    "introspection off by a 403": (
        switch(introspection="refused_403"),
        {"introspection": WARNING},
        "determined by trial queries",
        "No action is required",
    ),
    "fields gone": (
        switch(remove_fields=["Conversion.notes", "Conversion.customer"]),
        {"fields_conversions": WARNING},
        "36 of 40 known fields; missing: notes, customer__name, customer__email, customer__browser_ip",
        "Missing fields stay empty",
    ),
    "status can only be filtered on": (
        switch(remove_fields=["Conversion.status"]),
        {"fields_conversions": WARNING},
        "missing: status",
        "status will be read with one pass per value.",
    ),
    "tests cannot be identified": (
        switch(remove_fields=["Conversion.is_test_conversion"]),
        {"fields_conversions": WARNING},
        "missing: is_test_conversion",
        "count in every figure",
    ),
    "no amounts": (
        switch(remove_fields=["Conversion.commission_total"]),
        {"fields_conversions": FAILED, "graphql_pages": SKIPPED},
        "without commission_total",
        "support",
    ),
    "no payments": (
        switch(remove_fields=["Query.payments"]),
        {"fields_payments": WARNING},
        "does not offer payments",
        "payments stays empty, and",
    ),
    "no conversions": (
        switch(remove_fields=["Query.conversions"]),
        {"fields_conversions": FAILED, "graphql_pages": SKIPPED},
        "does not offer conversions",
        "support",
    ),
    "short pages of GraphQL": (
        switch(page_cap=40),
        {"graphql_pages": WARNING},
        "pages of 40 conversions instead of the requested 200",
        "No data is lost",
    ),
    "pages of GraphQL fail": (
        fault("graphql:conversions", "500"),
        {"graphql_pages": FAILED},
        "conversions: HTTP 500",
        "later",
    ),
}


@pytest.fixture(autouse=True)
def no_second_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are permanent in these tests."""
    monkeypatch.setattr(inputs, "RETRY_SECONDS", 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_told_and_nothing_else(patient: DoctorFixture, broken: str) -> None:
    breaks, expected, said, remedy = BROKEN[broken]
    breaks(patient)
    examined = patient.examined()
    assert examined.not_well() == expected
    assert examined.ok == (FAILED not in expected.values())
    turned = next(name for name, status in expected.items() if status is not SKIPPED)
    assert said in examined[turned].message
    assert remedy in (examined[turned].remedy or "")


def test_what_is_offered_and_not_loaded_is_named(patient: DoctorFixture) -> None:
    patient.sandbox.configure(add_fields={"Shop.plan": "String"})
    examined = patient.examined()
    assert examined.not_well() == {}
    found = examined["fields_conversions"]
    assert "offered but not loaded: " in found.message
    assert found.details["not_loaded"]["shop"] == "of the object Shop: currency, plan, shop_identifier, url"
    assert found.details["not_loaded"]["creatives (root)"] == "it is not a table"


def test_trouble_that_passes_is_no_cross(patient: DoctorFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "RETRY_SECONDS", 5)
    patient.sandbox.fault("rest:/affiliate/list", "reset")
    patient.sandbox.fault("graphql:introspection", "503-html")
    assert patient.examined().not_well() == {}


class TestStatusPage:
    def test_failed_checks_name_what_it_reports(self, patient: DoctorFixture) -> None:
        patient.sandbox.report_incident("Errors in GraphQL")
        patient.sandbox.fault("graphql", "503-html", times=None)
        examined = patient.examined()
        reported = 'Refersion\'s status page reports: incident "Errors in GraphQL" (major, investigating, since '
        assert (examined["status_page"].status, examined["graphql_connection"].status) == (WARNING, FAILED)
        assert examined["status_page"].message.startswith(reported)
        assert (examined["graphql_connection"].remedy or "").startswith(reported)
        assert graphql.CHECK_ADDRESS in (examined["graphql_connection"].remedy or "")

    def test_an_incident_alone_is_a_warning(self, patient: DoctorFixture) -> None:
        patient.sandbox.report_incident("Slow dashboard", "minor", ["Merchant dashboard"])
        examined = patient.examined()
        assert examined.not_well() == {"status_page": WARNING}
        assert examined.ok

    def test_a_page_that_cannot_be_read_is_skipped(self, patient: DoctorFixture) -> None:
        patient.sandbox.fault("status", "status", status=200, body="<html>", times=None)
        examined = patient.examined()
        assert examined.not_well() == {"status_page": SKIPPED}
        assert "did not answer in the format of a status page" in examined["status_page"].message

    def test_without_a_page_none_is_read(self, patient: DoctorFixture) -> None:
        patient.set(REFERSION_STATUS_URL="off")
        assert patient.examined().not_well() == {"status_page": SKIPPED}
        assert "status" not in patient.sandbox.requests()


def test_a_server_that_does_not_answer_is_not_waited_for(
    patient: DoctorFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "ANSWER_SECONDS", 0.3)
    patient.sandbox.fault("*", "latency", seconds=60, times=None)
    began = datetime.now(UTC)
    examined = patient.examined()
    assert datetime.now(UTC) - began < timedelta(seconds=8)
    assert (examined["rest_connection"].status, examined["graphql_connection"].status) == (FAILED, FAILED)
    assert "no response from 127.0.0.1" in examined["rest_connection"].message


@pytest.mark.parametrize(("minutes", "said"), [(12, "12 minutes behind"), (-5, "5 minutes ahead of"), (1.5, "behind")])
def test_a_clock_that_is_wrong_is_told(patient: DoctorFixture, minutes: float, said: str) -> None:
    there = datetime.now(UTC) + timedelta(minutes=minutes)
    with SandboxServer(replace(SMALL, now=there)) as elsewhere:
        patient.set(**environment_of(elsewhere, patient.folder))
        examined = patient.examined()
    assert examined.not_well() == {"clock": WARNING}
    assert said in examined["clock"].message
    assert abs(examined["clock"].details["seconds_ahead_of_us"] - 60 * minutes) < 5
    assert examined.ok


def test_a_clock_that_is_right_is_a_tick(patient: DoctorFixture) -> None:
    with SandboxServer(replace(SMALL, now=datetime.now(UTC))) as elsewhere:
        patient.set(**environment_of(elsewhere, patient.folder))
        clock = patient.examined()["clock"]
    assert clock.status is OK
    assert clock.message == "matches Refersion's within a few seconds"

"""Checks Refersion's status page, and adds what it reports to failed checks of Refersion's APIs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from refersion_dagster.doctor.apis import graphql, rest
from refersion_dagster.doctor.findings import DoctorCheck, DoctorReport, Status, passed, skipped, warned
from refersion_dagster.refersion.api.status_page import StatusPage

NAME = "status_page"
NAMES = (NAME,)


def check_status_page(page: StatusPage | None) -> Iterator[DoctorCheck]:
    if page is None:
        yield skipped(NAME, "there is no status page for this address (REFERSION_STATUS_URL)")
        return
    summary = page.read()
    if summary.unknown:
        yield skipped(NAME, summary.unknown)
    elif summary.notices:
        yield warned(
            NAME,
            str(summary),
            f"If a check of Refersion's APIs fails, wait until {page.url} no longer reports this.",
            notices=list(summary.notices),
            outage=summary.is_outage,
        )
    else:
        yield passed(NAME, f"{page.host} reports no incident", notices=[], outage=False)


def with_notices(report: DoctorReport) -> DoctorReport:
    """Returns a copy in which failed checks of Refersion's APIs name what the status page reports."""
    reported = next((one for one in report.checks if one.name == NAME and one.status is Status.WARNING), None)
    if reported is None:
        return report

    def add(check: DoctorCheck) -> DoctorCheck:
        if check.status is not Status.FAILED or check.name not in (*rest.NAMES, *graphql.NAMES):
            return check
        return replace(check, remedy=f"{reported.message} {check.remedy}")

    return DoctorReport([add(check) for check in report.checks])

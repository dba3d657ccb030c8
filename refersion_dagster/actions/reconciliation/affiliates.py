"""Looks for evidence of an open item in Refersion's affiliates."""

from __future__ import annotations

from refersion_dagster.actions.reconciliation.evidence import Evidence, Inquiry, Verdict
from refersion_dagster.refersion.errors import RequestRefused


def new_affiliate(inquiry: Inquiry) -> Evidence:
    """Looks up a new affiliate by e-mail, which is unique."""
    email = inquiry.request["email"]
    try:
        answer = inquiry.account.rest.call("/affiliate/search", {"keyword": email})
    except RequestRefused as refusal:
        if "could not find" not in (refusal.said or "").lower():
            raise
        answer = {"results": []}
    found = [row for row in answer["results"] if str(row.get("email", "")).casefold() == email.casefold()]
    if not found:
        return Evidence(Verdict.NOT_FOUND, f"No affiliate has the e-mail {email}.")
    rows = [{name: str(row.get(name)) for name in ("id", "status", "first_name", "last_name")} for row in found]
    return Evidence(
        Verdict.DONE, f"There is an affiliate with the e-mail {email}.", rows, {"affiliate_code": str(found[0]["id"])}
    )


def affiliate_status(inquiry: Inquiry) -> Evidence:
    """Compares the requested status with the affiliate's current status."""
    number, wanted = inquiry.request["affiliate_id"], inquiry.request["status"]
    status = inquiry.account.rest.call("/affiliate/get", {"id": number}).get("status")
    verdict = Verdict.DONE if status == wanted else Verdict.NOT_FOUND
    return Evidence(verdict, f"Affiliate {number} is {status}; requested was {wanted}.")


def affiliate_details(inquiry: Inquiry) -> Evidence:
    """Compares the requested details with the current ones. The API does not return every detail that it can set."""
    request = inquiry.request
    details = inquiry.account.rest.call("/affiliate/get", {"id": request["affiliate_id"]})
    readable = {"company": "company_name", "offer_id": "offer_id"} | {
        name: name for name in ("first_name", "last_name", "email")
    }
    wanted = {name: str(value) for name, value in request.items() if name in readable}
    if not wanted:
        return Evidence(
            Verdict.CANNOT_TELL, "Refersion's API does not show any of the fields that were to be set; check "
            f"affiliate {request['affiliate_id']} in Refersion."
        )  # fmt: skip
    other = {name: value for name, value in wanted.items() if str(details.get(readable[name])) != value}
    if other:
        now = ", ".join(f"{name} is {details.get(readable[name])!r}, not {value!r}" for name, value in other.items())
        return Evidence(Verdict.NOT_FOUND, f"Affiliate {request['affiliate_id']}: {now}.")
    return Evidence(
        Verdict.LIKELY, f"Affiliate {request['affiliate_id']} has the requested values: {', '.join(wanted)}."
    )


def report_no_evidence(_inquiry: Inquiry) -> Evidence:
    """The API does not return triggers and product rates, so a person has to check them."""
    return Evidence(
        Verdict.CANNOT_TELL,
        "Refersion's API shows neither triggers nor product rates; check the affiliate or the offer in Refersion.",
    )

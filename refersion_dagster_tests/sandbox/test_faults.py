"""Faults on demand, as seen by a client written with requests."""

import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from refersion_dagster_tests.sandbox.client import Client

LIST, LIST_ROUTE = "/affiliate/list", "rest:/affiliate/list"


def ask(client: Client) -> requests.Response:
    return client.rest(LIST, {"limit": "1"})


@pytest.mark.exhaustive
def test_latency_delays_one_request_and_no_other(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "latency", seconds=3.0)
    answered: list[str] = []

    def slow() -> None:
        answer = requests.post(client.sandbox.rest_url + LIST, json={}, headers=client.keys, timeout=30)
        answered.append(f"slow {answer.status_code}")

    thread = threading.Thread(target=slow)
    thread.start()
    while not client.sandbox.requests():
        pass
    answered.append(f"other {ask(client).status_code}")
    thread.join()
    assert answered == ["other 200", "slow 200"]


def test_plain_429(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "429")
    answer = ask(client)
    assert (answer.status_code, answer.json()) == (429, {"message": "Too Many Requests"})
    assert "Retry-After" not in answer.headers
    assert ask(client).status_code == 200


def test_429_with_retry_after_in_seconds_and_as_a_date(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "429-retry-after", seconds=2)
    client.sandbox.fault(LIST_ROUTE, "429-retry-after", seconds=30, http_date=True)
    assert ask(client).headers["Retry-After"] == "2"
    before = time.time()
    date = parsedate_to_datetime(ask(client).headers["Retry-After"])
    assert before + 29 <= date.timestamp() <= time.time() + 31


def test_429_with_the_quotas_reset(client: Client) -> None:
    client.sandbox.fault("rest", "429-quota-reset", seconds=20)
    before = time.time()
    headers = ask(client).headers
    assert headers["X-Quota-Remaining"] == "0"
    assert before + 19 <= int(headers["X-Quota-Reset"]) <= time.time() + 21


def test_500_and_any_other_status(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "500")
    assert (ask(client).status_code, ask(client).status_code) == (500, 200)
    client.sandbox.fault(LIST_ROUTE, "status", status=422, body={"errors": ["Something new."]})
    answer = ask(client)
    assert (answer.status_code, answer.json()) == (422, {"errors": ["Something new."]})


def test_503_is_a_page_of_html(client: Client) -> None:
    client.sandbox.fault("*", "503-html")
    answer = ask(client)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<h1>Service Unavailable</h1>" in answer.text


def test_reset_closes_the_connection_under_the_client(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "reset")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        ask(client)
    assert ask(client).status_code == 200


def test_truncated_is_shorter_than_its_length(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "truncated")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        ask(client)
    assert ask(client).status_code == 200


def test_truncated_json_has_the_right_length_and_no_end(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "truncated-json")
    answer = ask(client)
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["Content-Length"])
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_graphql_error_in_a_200(client: Client) -> None:
    client.sandbox.fault("graphql:conversions", "graphql-error", message="Internal error, please retry")
    assert client.data("{offers {id}}")
    answer = client.graphql("{conversions {id}}")
    assert answer.status_code == 200
    assert answer.json() == {"errors": [{"message": "Internal error, please retry"}], "data": None}


def test_times_and_after_count_the_requests_of_their_route(client: Client) -> None:
    client.sandbox.fault(LIST_ROUTE, "500", times=2, after=1)
    client.rest("/affiliate/get", {"affiliate_code": "0042"})
    assert [ask(client).status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    client.sandbox.fault("rest", "500", times=None)
    assert {ask(client).status_code for _ in range(5)} == {500}
    client.sandbox.clear_faults()
    assert ask(client).status_code == 200


def test_faults_of_one_route_are_met_one_after_the_other(client: Client) -> None:
    for kind in ("429", "500", "503-html"):
        client.sandbox.fault(LIST_ROUTE, kind)
    assert [ask(client).status_code for _ in range(4)] == [429, 500, 503, 200]


@pytest.mark.parametrize("kind", ["reset", "500", "truncated"])
def test_an_answer_is_lost_after_the_work_was_done(client: Client, kind: str) -> None:
    number = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    before = len(client.sandbox.account.conversions)
    client.sandbox.fault("rest:/conversion/manual_credit", kind, applied=True)
    body = {"id": number, "commission": 1, "status": "APPROVED"}
    try:
        assert client.rest("/conversion/manual_credit", body).status_code == 500
    except requests.RequestException:
        assert kind != "500"
    assert len(client.sandbox.account.conversions) == before + 1


def test_a_refused_connection_does_no_work(client: Client) -> None:
    number = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    before = len(client.sandbox.account.conversions)
    client.sandbox.fault("rest:/conversion/manual_credit", "500")
    client.rest("/conversion/manual_credit", {"id": number, "commission": 1, "status": "APPROVED"})
    assert len(client.sandbox.account.conversions) == before


def test_report_files_meet_faults_too(client: Client) -> None:
    link = client.done("/reporting/link", {"report_id": 3701})["download_link"]
    client.sandbox.fault("report", "503-html")
    assert requests.get(link, timeout=10).status_code == 503
    assert requests.get(link, timeout=10).status_code == 200


def test_faults_are_ordered_by_a_call(client: Client) -> None:
    added = client.control("POST", "/faults", {"route": LIST_ROUTE, "kind": "500", "times": 2})
    assert added.status_code == 200
    assert ask(client).status_code == 500
    (waiting,) = client.control("GET", "/faults").json()
    assert (waiting["route"], waiting["kind"], waiting["times"]) == (LIST_ROUTE, "500", 1)
    assert client.control("DELETE", "/faults").json() == []
    assert ask(client).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"route": LIST_ROUTE, "kind": "flood"},
        {"route": "/affiliate/list", "kind": "500"},
        {"route": LIST_ROUTE},
        {"route": LIST_ROUTE, "kind": "500", "times": "often"},
        {"route": LIST_ROUTE, "kind": "status", "status": 99},
        {"route": LIST_ROUTE, "kind": "500", "colour": "red"},
    ],
)
def test_faults_that_do_not_exist_are_refused(client: Client, fault: dict[str, Any]) -> None:
    refused = client.control("POST", "/faults", fault)
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert client.control("GET", "/faults").json() == []

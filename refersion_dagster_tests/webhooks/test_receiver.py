"""The receiver over HTTP: an event that is answered by 200 is in the inbox, and nothing else is."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from refersion_dagster.webhooks.signature import sign
from refersion_dagster_tests.webhooks.receiver import SECRET, TOPIC, Receiver, receiving

LARGE = b"x" * 10_000_000


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver of one test."""
    with receiving(tmp_path / "inbox.sqlite") as running:
        yield running


def test_an_event_is_in_the_inbox_byte_for_byte_when_it_is_answered(fresh: Receiver) -> None:
    body = b'{ "id":1,\r\n "name": "Chlo\xc3\xa9 \\ud83d", "total": 1.10 }\n'
    before = datetime.now(UTC)
    answer = fresh.post(body)
    after = datetime.now(UTC)
    fresh.kill()
    assert (answer.status_code, answer.json()) == (200, {"status": "stored"})
    (kept,) = fresh.waiting()
    assert (kept.topic, kept.body) == (TOPIC, body)
    assert before <= kept.received_at <= after


def test_a_replay_is_acknowledged_and_kept_once(fresh: Receiver) -> None:
    answers = [fresh.post(b'{"id":1}').json() for _ in range(3)]
    assert answers == [{"status": "stored"}, {"status": "repeated"}, {"status": "repeated"}]
    assert len(fresh.waiting()) == 1
    assert (fresh.health()["stored"], fresh.health()["repeated"]) == (1, 2)


@pytest.mark.parametrize("topic", ["BONUS_TIER_MOVEMENT", "something.new/2", "", "x" * 100])
def test_topics_that_nobody_knows_are_kept_as_they_are(receiver: Receiver, topic: str) -> None:
    assert receiver.post(b'{"of topic":"%s"}' % topic.encode(), topic).status_code == 200
    assert receiver.waiting()[-1].topic == topic


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'[{"id":1}]', b'{"n":1e999,"i":%s}' % (b"9" * 400), b"[" * 50 + b"]" * 50]
)
def test_any_json_object_or_list_is_an_event(receiver: Receiver, body: bytes) -> None:
    assert receiver.post(body).status_code == 200
    assert receiver.waiting()[-1].body == body


def event(body: Any = b'{"id":9}', **given: Any) -> dict[str, Any]:
    """Arguments of Receiver.post."""
    return {"body": body, **given}


REFUSED = {
    "no signature": (event(Refersion_Signature=None), 401, "no_signature"),
    "an empty signature": (event(Refersion_Signature=""), 401, "no_signature"),
    "another secret": (event(secret="whsec_other"), 401, "wrong_signature"),
    "no secret": (event(secret=""), 401, "wrong_signature"),
    "another body's signature": (event(Refersion_Signature=sign(b"{}", SECRET)), 401, "wrong_signature"),
    "a signature of noise": (event(Refersion_Signature="AQID" * 11), 401, "wrong_signature"),
    "a signature of latin letters": (event(Refersion_Signature="\xe9\xff"), 401, "wrong_signature"),
    "a signature of 20 kB": (event(Refersion_Signature="A" * 20_000), 401, "wrong_signature"),
    "an empty body": (event(b""), 400, "not_json"),
    "a form": (event(b"id=9&status=APPROVED"), 400, "not_json"),
    "half of a body": (event(b'{"id":9,"status":"APP'), 400, "not_json"),
    "noise": (event(bytes(range(256)) * 20), 400, "not_json"),
    "another encoding": (event('{"id":9}'.encode("utf-16")), 400, "not_json"),
    "a lone value": (event(b'"APPROVED"'), 400, "not_json"),
    "NaN": (event(b'{"total":NaN}'), 400, "not_json"),
    "51 levels": (event(b"[" * 51 + b"]" * 51), 400, "not_json"),
    "100,000 levels": (event(b'{"a":' * 100_000), 400, "not_json"),
    "a number of 100,000 digits": (event(b"[%s]" % (b"9" * 100_000)), 400, "not_json"),
    "a topic of 101 letters": (event(topic="x" * 101), 400, "bad_topic"),
    "a topic that is no name": (event(topic="\xe9"), 400, "bad_topic"),
    "10 MB": (event(LARGE), 413, "too_large"),
    "10 MB in chunks": (event((b"x" * 100_000 for _ in range(100)), Refersion_Signature="AQID"), 413, "too_large"),
    "2 MB and a byte": (event(b"[%s]" % (b" " * 1_999_999)), 413, "too_large"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_and_counted_and_nothing_stored(receiver: Receiver, case: str) -> None:
    request, status, kind = REFUSED[case]
    before, stored = receiver.refused(), receiver.health()["stored"]
    answer = receiver.post(**request)
    assert (answer.status_code, answer.json()) == (status, {"status": "refused", "reason": kind})
    assert receiver.refused() - before == {kind: 1}
    assert receiver.health()["stored"] == stored


def test_an_event_of_just_the_size_that_is_taken(receiver: Receiver) -> None:
    body = b"[%s]" % (b" " * 1_999_998)
    assert receiver.post(body).status_code == 200
    assert len(receiver.waiting()[-1].body) == 2_000_000


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_another_method_is_refused(receiver: Receiver, method: str) -> None:
    before = receiver.refused()
    answer = requests.request(method, receiver.url, timeout=10)
    assert answer.status_code == 405
    assert receiver.refused() - before == {"wrong_method": 1}


@pytest.mark.parametrize("path", ["/", "/webhooks/", "/webhook", "/webhooks/../x", "/%77ebhooks%2f", "/.env"])
def test_another_path_is_refused(receiver: Receiver, path: str) -> None:
    before = receiver.refused()
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    body = b'{"id":7}'
    connection.request("POST", path, body, {"Refersion-Topic": TOPIC, "Refersion-Signature": sign(body, SECRET)})
    assert connection.getresponse().status == 404
    connection.close()
    assert receiver.refused() - before == {"wrong_path": 1}


def test_many_large_bodies_at_once_take_no_memory(fresh: Receiver) -> None:
    fresh.post(b"{}")
    before = peak_megabytes(fresh)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: fresh.post(LARGE, secret="whsec_other").status_code, range(20)))
    assert answers == [413] * 20
    assert peak_megabytes(fresh) - before < 30


def peak_megabytes(receiver: Receiver) -> float:
    status = Path(f"/proc/{receiver.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def test_several_events_come_over_one_connection(receiver: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    for number in range(3):
        body = b'{"kept alive":%d}' % number
        connection.request("POST", "/webhooks", body, {"Refersion-Signature": sign(body, SECRET)})
        assert connection.getresponse().read() == b'{"status":"stored"}'
    assert connection.sock, "the connection is kept"
    connection.close()


def test_events_that_are_sent_before_the_answer_to_the_last_one_are_answered_in_order(receiver: Receiver) -> None:
    bodies = [b'{"pipelined":%d}' % number for number in range(5)] + [b"nonsense"]
    with receiver.connect() as connection:
        for body in bodies:
            head = f"POST /webhooks HTTP/1.1\r\nHost: x\r\nRefersion-Signature: {sign(body, SECRET)}\r\n"
            connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        said = b""
        while said.count(b"HTTP/1.1") < 6 or not said.endswith(b"}"):
            said += connection.recv(10_000)
    assert [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]] == [b"200"] * 5 + [b"400"]


def test_both_secrets_count_while_one_takes_over_from_the_other(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox.sqlite", secret="whsec_new,whsec_old") as both:
        answers = [
            both.post(b'{"id":1}', secret=secret).status_code
            for secret in ("whsec_new", "whsec_old", "whsec_new,whsec_old")
        ]
    assert answers == [200, 200, 401]


@pytest.mark.exhaustive
def test_two_receivers_share_an_inbox_and_their_counts_outlive_them(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox.sqlite"
    with receiving(inbox) as one, receiving(inbox) as two:
        assert [one.post(b'{"id":1}').json()["status"], two.post(b'{"id":1}').json()["status"]] == [
            "stored",
            "repeated",
        ]
        assert two.post(b'{"id":2}', secret="whsec_other").status_code == 401
        two.stop()
        health = one.health()
        assert (health["stored"], health["repeated"], health["refused"]) == (1, 1, {"wrong_signature": 1})
        one.stop()
    with receiving(inbox) as again:
        assert again.health() == {**health, "oldest_waits_seconds": again.health()["oldest_waits_seconds"]}


def test_a_full_inbox_refuses_with_503_and_loses_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox.sqlite", "--inbox-megabytes", "1") as full:
        answers = [full.post(b'{"id":%d,"pad":"%s"}' % (number, b"x" * 50_000)).status_code for number in range(30)]
        assert set(answers) == {200, 503}
        health = requests.get(full.url.replace("/webhooks", "/healthz"), timeout=10)
        assert (health.status_code, health.json()["status"]) == (503, "failing")
        assert health.json()["refused"] == {"no_room": answers.count(503)}
        assert len(full.waiting()) == answers.count(200)
        assert full.post(b'{"id":0,"pad":"%s"}' % (b"x" * 50_000)).json() == {"status": "repeated"}
        said = full.stop()
    assert "Load its events, or increase the limit" in said
    assert said.count("could not be stored") == 1, "told once, not for each event"


def test_a_full_disk_refuses_with_503_and_loses_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path / "inbox.sqlite", file_bytes=600_000) as full:
        answers = [full.post(b'{"id":%d,"pad":"%s"}' % (number, b"x" * 50_000)).status_code for number in range(30)]
        assert set(answers) == {200, 503}
        stored = len(full.waiting())
        full.kill()
    assert stored == answers.count(200)
    with receiving(tmp_path / "inbox.sqlite") as roomy:
        assert len(roomy.waiting()) == stored
        assert roomy.post(b'{"id":100}').status_code == 200


def test_keys_and_bodies_are_in_no_line_of_the_log(tmp_path: Path) -> None:
    body = b'{"customer":{"email":"customer@example.net"}}'
    with receiving(tmp_path / "inbox.sqlite") as running:
        for sent, secret in ((body, SECRET), (body, "whsec_other"), (body[:-1], SECRET), (LARGE, SECRET)):
            running.post(sent, secret=secret)
        said = running.stop()
    assert said.count("Refused") == 3
    for secret in (SECRET, "customer", sign(body, SECRET), "whsec_other"):
        assert secret not in said

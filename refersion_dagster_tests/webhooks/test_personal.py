"""Customers' personal values inside of events, and that nothing else of an event changes."""

from __future__ import annotations

import hashlib
import json

import pytest

from refersion_dagster.refersion.tables.catalog import CONVERSIONS
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy
from refersion_dagster.webhooks.personal import hide_personal_values

HASH, KEEP, DROP = (Privacy(policy, "salt") for policy in PersonalData)
SENT = """{ "id": 11900254, "total": 59.00, "big": 12345678901234567890123, "e": 1e-7, "tax": "2,874.85",
 "note": "Chlo\\u00e9 \\ud83d", "affiliate": {"email": "affiliate@example.com", "ip": null},
 "customer": {"id": 5, "name": " Ada Abbott ", "email": "Ada+shop@Example.net", "phone": 4915112345,
  "tags": ["vip", true]},
 "click": {"ip": "100.64.7.9", "referer": "https://blog.example.org"}, "customer_email": "ada@example.net" }"""


def sha(text: str) -> str:
    return hashlib.sha256(f"salt{text}".encode()).hexdigest()


def test_personal_values_are_hashed_as_in_the_tables_and_the_rest_stays_as_it_was() -> None:
    (text,) = hide_personal_values([SENT], HASH)
    before, after = json.loads(SENT), json.loads(text)
    assert after["customer"] == {
        "id": 5,
        "name": sha("ada abbott"),
        "email": sha("ada@example.net"),
        "phone": sha("4915112345"),
        "tags": [sha("vip"), True],
    }
    assert after["customer_email"] == after["customer"]["email"]
    assert after["click"] == {"ip": sha("100.64.7.9"), "referer": "https://blog.example.org"}
    for name in ("id", "note", "tax", "affiliate"):
        assert after[name] == before[name]
    assert '"total":59.00,"big":12345678901234567890123,"e":1e-7,' in text, "numbers are written as they came"


def test_dropped_values_are_null() -> None:
    (text,) = hide_personal_values([SENT], DROP)
    after = json.loads(text)
    assert after["customer"] == {"id": 5, "name": None, "email": None, "phone": None, "tags": [None, True]}
    assert (after["click"]["ip"], after["customer_email"]) == (None, None)
    for word in ("Ada", "100.64", "4915112345", "vip"):
        assert word not in text


def test_kept_values_leave_the_event_as_it_came() -> None:
    assert hide_personal_values([SENT], KEEP) == [SENT]


@pytest.mark.parametrize(
    "text", ["[ 1.50, {} ]", '{"email": "affiliate@example.com"}', '{"customer": null}', '{"ip": {}}']
)
@pytest.mark.parametrize("privacy", [HASH, DROP])
def test_an_event_without_personal_values_stays_as_it_came(text: str, privacy: Privacy) -> None:
    assert hide_personal_values([text], privacy) == [text]


def test_each_event_of_many_gets_its_own_values() -> None:
    texts = [f'{{"customer":{{"email":"{name}@example.com"}}}}' for name in ("ada", "björn", "ada")] + ["{}"]
    found = [json.loads(text).get("customer", {}).get("email") for text in hide_personal_values(texts, HASH)]
    assert found == [sha("ada@example.com"), sha("björn@example.com"), sha("ada@example.com"), None]


def test_whatever_is_personal_in_the_table_is_personal_in_the_event() -> None:
    event: dict[str, dict[str, str]] = {}
    for column in CONVERSIONS.columns:
        if column.personal:
            event.setdefault(column.path[0], {})[column.path[1]] = f"value of {column.name}"
    assert len(event) > 1
    (text,) = hide_personal_values([json.dumps(event)], HASH)
    assert "value of" not in text
    assert text.count(":") == json.dumps(event).count(":")

"""Refersion-Signature: base64 of HMAC-SHA256 over the raw body."""

from __future__ import annotations

import pytest

from refersion_dagster.webhooks.signature import is_genuine, secrets_of, sign

BODY = b'{"id":1,"name":"Chlo\xc3\xa9"}'
# printf '{"id":1,"name":"Chloé"}' | openssl dgst -sha256 -hmac whsec_one -binary | base64
OPENSSLS = "B3rjNsPvBrmOsMAO9aIY0r/VCIIV7JMgiwh/D2dmMqQ="


def test_it_is_what_openssl_makes_of_the_same_bytes() -> None:
    assert sign(BODY, "whsec_one") == OPENSSLS
    assert is_genuine(BODY, OPENSSLS, ["whsec_one"])


@pytest.mark.parametrize(
    "body",
    [BODY + b"\n", BODY.replace(b"1", b"2"), b"", BODY.replace(b":", b": ")],
    ids=["longer", "other", "empty", "spaced"],
)
def test_any_other_body_is_forged(body: bytes) -> None:
    assert not is_genuine(body, OPENSSLS, ["whsec_one"])


@pytest.mark.parametrize(
    "signature", ["", "=", OPENSSLS[:-1], OPENSSLS.lower(), OPENSSLS + " ", "é", "\udc80", "0" * 64]
)
def test_any_other_signature_is_forged(signature: str) -> None:
    assert not is_genuine(BODY, signature, ["whsec_one"])


def test_each_of_several_secrets_counts_while_one_takes_over() -> None:
    secrets = secrets_of(" whsec_two , whsec_one,")
    assert secrets == ["whsec_two", "whsec_one"]
    assert is_genuine(BODY, sign(BODY, "whsec_one"), secrets)
    assert is_genuine(BODY, sign(BODY, "whsec_two"), secrets)
    assert not is_genuine(BODY, sign(BODY, "whsec_three"), secrets)


@pytest.mark.parametrize("value", [None, "", " ", ",", " , "])
def test_no_secret_is_no_secret(value: str | None) -> None:
    assert secrets_of(value) == []
    assert not is_genuine(BODY, sign(BODY, ""), secrets_of(value))

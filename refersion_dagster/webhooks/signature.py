"""Verifies events. `Refersion-Signature` is base64 of HMAC-SHA256 over the raw body (documented)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Sequence


def sign(body: bytes, secret: str) -> str:
    """The signature of a body."""
    return b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def is_genuine(body: bytes, signature: str, secrets: Sequence[str]) -> bool:
    """Whether a body was signed with one of the secrets. Takes the same time whichever of them matches, if any."""
    given = signature.encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, sign(body, secret).encode()) for secret in secrets]
    return any(matches)


def secrets_of(value: str | None) -> list[str]:
    """The signing secrets in REFERSION_WEBHOOK_SECRET: one, or several separated by commas during a rotation."""
    return [secret for part in (value or "").split(",") if (secret := part.strip())]

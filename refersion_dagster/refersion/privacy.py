"""What becomes of customers' personal values (e-mail, ip, name) before anything is written."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class PersonalData(StrEnum):
    """What to do with customers' personal values (REFERSION_PII)."""

    HASH = "hash"
    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True)
class Privacy:
    """Applies one policy to columns of personal values.

    Args:
        policy: hash (HMAC-SHA256 over the normalised value, 64 hex digits), keep, or drop.
        salt: the key of the hash. The same salt gives the same hash, so that rows of one customer can still be joined.
    """

    policy: PersonalData
    salt: str = field(repr=False)

    def apply(self, values: Sequence[Any]) -> list[Any]:
        """The values as they may land: one out for one in, None stays None."""
        if self.policy is PersonalData.KEEP:
            return list(values)
        if self.policy is PersonalData.DROP:
            return [None] * len(values)
        return self.digests(values)

    def digests(self, values: Sequence[Any]) -> list[str | None]:
        """HMAC-SHA256 hex digests of the normalised values; empty and None give None."""
        key = self.salt.encode()
        return [
            hmac.digest(key, normalised.encode("utf-8", "surrogatepass"), "sha256").hex()
            if value is not None and (normalised := normalise(str(value)))
            else None
            for value in values
        ]


def normalise(value: str) -> str:
    """One spelling for one person: no outer space, no case; of an e-mail no +tag, and no dots at Gmail."""
    value = value.strip().casefold()
    local, at, domain = value.rpartition("@")
    if not at:
        return value
    local = local.partition("+")[0]
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"

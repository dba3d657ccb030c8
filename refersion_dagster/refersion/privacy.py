"""What becomes of customers' personal values (e-mail, ip, name) before anything is written."""

from __future__ import annotations

import hashlib
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
        policy: hash (lower-case hex SHA-256 of the salt followed by the normalised value, which any SQL can repeat),
            keep, or drop.
        salt: makes the hashes useless to others. The same salt gives the same hash, so that rows of one customer can
            still be joined.
    """

    policy: PersonalData
    salt: str = field(repr=False)

    def apply(self, values: Sequence[Any]) -> Sequence[Any]:
        """The values as they may land: one out for one in, None stays None."""
        if self.policy is PersonalData.KEEP:
            return values
        if self.policy is PersonalData.DROP:
            return [None] * len(values)
        return self.digests(values)

    def digests(self, values: Sequence[Any]) -> list[str | None]:
        """Hashes of the normalised values; empty and None give None."""
        salt, sha256 = self.salt.encode(), hashlib.sha256
        return [
            sha256(salt + one.encode("utf-8", "surrogatepass")).hexdigest() if one else None
            for one in map(normalise, values)
        ]


def normalise(value: Any) -> str:
    """One spelling for one person: no outer space, no case; of an e-mail no +tag, and no dots at Gmail."""
    text = "" if value is None else str(value).strip().lower()
    if "@" not in text or ("+" not in text and "mail.com" not in text):
        return text
    local, _, domain = text.rpartition("@")
    local = local.partition("+")[0]
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"

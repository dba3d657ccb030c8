"""Applies the privacy policy to customers' personal values (e-mail, ip, name) before anything is written.

Values are normalised in Arrow, ten thousand at a time. In Python alone this takes a third of the read time and blocks
all other threads.
"""

# pyright: reportAttributeAccessIssue=false
# (pyarrow.compute creates its functions at import, which type checkers cannot see)

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from refersion_dagster.refersion.tables.coerce import Raw

# Printable ASCII without outer spaces, which Arrow and Python lower-case in the same way.
USUAL = r"^[!-~]([ -~]*[!-~])?$"
TAG = r"^([^+]*)\+.*@([^@]*)$"
# In a URL, @ may be written as %40, and other characters may be percent-encoded too.
EMAIL = re.compile(r"[A-Za-z0-9._%+~-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", re.ASCII)
A_MAIL = "[e-mail]"
GMAIL = r"@(gmail|googlemail)\.com$"


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
        """The values to load: one per input value, None stays None."""
        if self.policy is PersonalData.KEEP:
            return values
        if self.policy is PersonalData.DROP:
            return [None] * len(values)
        return self.digests(values)

    def digests(self, values: Sequence[Any]) -> list[str | None]:
        """Hashes of the normalised values. Empty values and None become None."""
        return self.digest_chunks([values]).to_pylist()

    def digest_chunks(self, chunks: Sequence[Raw]) -> pa.Array:
        """`digests` of all chunks together, as one array."""
        salt = self.salt.encode("utf-8", "surrogatepass")
        found = [
            sha256(salt + value).hexdigest() if value else None
            for chunk in chunks
            for value in normalised(chunk).to_pylist()
        ]
        return pa.array(found, pa.string())


def without_emails(values: Raw) -> Raw:
    """URLs with any e-mail addresses removed: a shop may put its customer's address into a link."""
    if not isinstance(values, pa.Array):
        return [EMAIL.sub(A_MAIL, value) if isinstance(value, str) else value for value in values]
    if not pa.types.is_string(values.type):
        return values
    return pc.replace_substring_regex(values, EMAIL.pattern, A_MAIL)


def normalise(value: Any) -> str:
    """One spelling per person: no outer space, lower case; e-mails without +tag, and at Gmail without dots."""
    text = "" if value is None else str(value).strip().lower()
    if "@" not in text or ("+" not in text and "mail.com" not in text):
        return text
    local, _, domain = text.rpartition("@")
    local = local.partition("+")[0]
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


def normalised(values: Raw) -> pa.Array:
    """`normalise` for each value, as UTF-8. Unusual values are normalised by Python one by one."""
    if not isinstance(values, pa.Array):
        return pa.array([normalise(value).encode("utf-8", "surrogatepass") for value in values], pa.binary())
    given = values.cast(pa.string())
    text = pc.ascii_lower(given)
    if pc.any(pc.match_substring(text, "@")).as_py():
        text = (
            pc.replace_substring_regex(text, TAG, r"\1@\2") if pc.any(pc.match_substring(text, "+")).as_py() else text
        )
        at_gmail = pc.match_substring_regex(text, GMAIL)
        dotless = pc.replace_substring(pc.replace_substring_regex(text, GMAIL, ""), ".", "")
        text = pc.if_else(at_gmail, pc.replace_substring_regex(dotless, r"\z", "@gmail.com"), text)
    normal = text.cast(pa.binary())
    unusual = pc.invert(pc.match_substring_regex(given, USUAL))
    if pc.any(unusual).as_py():
        normal = pc.replace_with_mask(normal, unusual, normalised(given.filter(unusual).to_pylist()))
    return normal

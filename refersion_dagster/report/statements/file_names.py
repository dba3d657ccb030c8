"""File names of affiliates. An id may be any text, even an e-mail or a path traversal."""

from __future__ import annotations

import hashlib
import re

# Only lower case, because some file systems ignore case; no dot, so that no id can equal a name generated below.
PLAIN = re.compile(r"[0-9a-z][0-9a-z_-]{0,63}")
# Files of the set itself, and names reserved by Windows.
TAKEN = re.compile(r"index|totals|con|prn|aux|nul|(com|lpt)\d")
OTHER = re.compile(r"[^0-9a-z_-]+")
DIGITS, LONGEST = 16, 40


def file_name(affiliate_id: str) -> str:
    """Returns the name of an affiliate's files, without extension: the id itself if it is safe on every file system.

    For any other id, the name has its safe characters and a hash that makes it unique.
    """
    if PLAIN.fullmatch(affiliate_id) and not TAKEN.fullmatch(affiliate_id):
        return affiliate_id
    digits = hashlib.sha256(affiliate_id.encode()).hexdigest()[:DIGITS]
    return f"{OTHER.sub('-', affiliate_id.lower()).strip('-_')[:LONGEST] or 'affiliate'}.{digits}"

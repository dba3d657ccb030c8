"""File names of affiliates, of which the ids may be anything, even e-mails or texts made to climb out of the folder."""

from __future__ import annotations

import hashlib
import re

# Small letters alone, as some disks take capitals for the same; no dot, so that no id can be a name made below.
PLAIN = re.compile(r"[0-9a-z][0-9a-z_-]{0,63}")
# Files of the set itself, and names that Windows keeps for devices.
TAKEN = re.compile(r"index|totals|con|prn|aux|nul|(com|lpt)\d")
OTHER = re.compile(r"[^0-9a-z_-]+")
DIGITS, LONGEST = 16, 40


def file_name(affiliate_id: str) -> str:
    """The name of an affiliate's files, without ending: the id itself where that is a safe name on every disk.

    Any other id gives its safe characters and digits that make it unique.
    """
    if PLAIN.fullmatch(affiliate_id) and not TAKEN.fullmatch(affiliate_id):
        return affiliate_id
    digits = hashlib.sha256(affiliate_id.encode()).hexdigest()[:DIGITS]
    return f"{OTHER.sub('-', affiliate_id.lower()).strip('-_')[:LONGEST] or 'affiliate'}.{digits}"

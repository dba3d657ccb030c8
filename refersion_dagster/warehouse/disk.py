"""A disk without space, whoever says so."""

from __future__ import annotations

import errno
import re

# DuckDB and Arrow pass the system's words on.
FULL = re.compile(r"no space left|disk quota exceeded|file too large", re.IGNORECASE)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, is that of a disk without space."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return True
        if FULL.search(str(reason)):
            return True
        reason = reason.__cause__ or reason.__context__
    return False

"""Detection of a full disk, whichever library reports it."""

from __future__ import annotations

import errno
import re

from refersion_dagster.warehouse.causes import causes

# DuckDB and Arrow pass on the operating system's message.
FULL = re.compile(r"no space left|disk quota exceeded|file too large", re.IGNORECASE)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, reports a full disk."""
    return any(
        (isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)) or FULL.search(str(one))
        for one in causes(error)
    )

"""A disk without space, whoever says so."""

from __future__ import annotations

import errno
import re

from refersion_dagster.warehouse.causes import causes

# DuckDB and Arrow pass the system's words on.
FULL = re.compile(r"no space left|disk quota exceeded|file too large", re.IGNORECASE)


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, is that of a disk without space."""
    return any(
        (isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)) or FULL.search(str(one))
        for one in causes(error)
    )

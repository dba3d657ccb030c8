"""Checks that files can be created in a folder, which need not exist yet."""

from __future__ import annotations

import tempfile
from pathlib import Path


def existing(folder: Path) -> Path:
    """Returns the folder, or its nearest parent that exists."""
    return folder if folder.exists() else existing(folder.parent)


def write_probe(folder: Path) -> None:
    """Writes to a temporary file, which is deleted immediately. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"x" * 4096)
        probe.flush()

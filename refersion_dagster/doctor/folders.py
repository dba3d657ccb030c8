"""Whether files can be made in a folder that need not be there yet."""

from __future__ import annotations

import tempfile
from pathlib import Path


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return folder if folder.exists() else existing(folder.parent)


def write_probe(folder: Path) -> None:
    """Writes to a file without a name, which is gone at once. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"x" * 4096)
        probe.flush()

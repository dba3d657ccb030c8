"""Reads secrets from files, as Docker and Kubernetes mount them: one file for each variable, named after it."""

from __future__ import annotations

import re
from pathlib import Path

from refersion_dagster.settings.values import InvalidSetting

# Other files in such a folder, for example those of Kubernetes, are not variables.
NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def read_secret_files(folder: Path, variable: str) -> dict[str, str]:
    """Returns the content of each file in a folder that has the name of a variable, without surrounding white space.

    Args:
        folder: the folder. Its subfolders are not read.
        variable: the setting that names the folder, for errors.

    Raises InvalidSetting if the folder or a file cannot be read.
    """
    path = folder
    try:
        found = {}
        for path in sorted(folder.iterdir()):
            if NAME.fullmatch(path.name) and path.is_file():
                found[path.name] = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidSetting(f"{path} ({variable}) cannot be read: {why}.") from None
    return found

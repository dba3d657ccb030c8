"""Where files for people go: a folder of this machine, or one in a bucket.

Credentials of a bucket are those of dlt's destination `filesystem`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from dlt.common.configuration.exceptions import ConfigurationException
from upath import UPath

from refersion_dagster.errors import ReportedError
from refersion_dagster.installation import install_command, is_installed
from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse.causes import causes

# A folder of this machine, or one in a bucket.
Folder: TypeAlias = Path | UPath

# The module of each extra, which is named as what addresses begin with.
CLIENTS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and …__AWS_SECRET_ACCESS_KEY",
    "gs": "PROJECT_ID, …__CLIENT_EMAIL and …__PRIVATE_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and …__AZURE_STORAGE_ACCOUNT_KEY",
}
# Options of a file system that are no secrets.
PUBLIC = ("endpoint_url", "client_kwargs", "config_kwargs", "account_name", "account_host", "project", "profile")
SHORTEST_SECRET = 4

# gcsfs looks for a refresh token where it cannot read the key of a service account.
NO_CREDENTIALS = re.compile(
    r"NoCredentials|DefaultCredentialsError|unable to locate credentials|KeyError: 'refresh_token'", re.IGNORECASE
)
FORBIDDEN = re.compile(
    r"forbidden|access ?denied|not authori[sz]ed|permission|signature|authenticat|ClientAuthentication|"
    r"invalid[ _]?(?:access|credential|grant|token)|\b40[13]\b|RefreshError",
    re.IGNORECASE,
)
NOT_FOUND = re.compile(r"NoSuchBucket|ContainerNotFound|not[ _]?found|does not exist|\b404\b", re.IGNORECASE)
UNREACHABLE = re.compile(
    r"connect|timed? ?out|timeout|unreachable|ServiceRequest|TransportError|\b50[0234]\b|\b429\b|slow ?down|"
    r"name or service not known|nodename nor servname",
    re.IGNORECASE,
)


class StorageError(ReportedError):
    """Files could not be read from or written to a bucket. What readers see there is unchanged."""


class StorageNotSet(StorageError):
    """The package for a kind of bucket, or its credentials, are missing or make no sense."""


class StorageForbidden(StorageError):
    """The keys are wrong, or do not allow what is needed."""


class BucketNotFound(StorageError):
    """There is no such bucket."""


class StorageUnreachable(StorageError):
    """The storage cannot be reached, or did not answer."""

    may_pass = True


def open_folder(address: str) -> Folder:
    """The folder of a setting, which need not be there: an absolute path, or the address of one in a bucket.

    Raises StorageNotSet where a bucket's package or credentials are missing.
    """
    scheme, is_address, _ = address.partition("://")
    if not is_address:
        return Path(address).expanduser().resolve()
    if not is_installed(CLIENTS[scheme]):
        raise StorageNotSet(f"{address} needs {CLIENTS[scheme]}. Install with: {install_command(scheme)}")
    from refersion_dagster.warehouse.dlt_internals.filesystem import filesystem_options

    try:
        options = filesystem_options(address, PIPELINE, DATASET)
    except ConfigurationException:
        # Without its cause, which may quote what cannot be read.
        raise StorageNotSet(
            f"The credentials of {address} are missing or cannot be read. {_how_to_set(scheme)}"
        ) from None
    return UPath(address, **options)


def written_in(folder: Folder) -> str:
    """Where files are written first, for messages: for a bucket in the folder of temporary files."""
    return str(folder) if isinstance(folder, Path) else f"{tempfile.gettempdir()}, for {folder},"


@contextmanager
def storage_errors(folder: UPath) -> Iterator[None]:
    """Raises what a bucket's client raises as StorageError, in words that hold no secret."""
    try:
        yield
    except ReportedError:
        raise
    except Exception as error:  # noqa: BLE001 - each client has errors of its own, and quotes requests in some
        raise _in_words(error, folder) from None


def _in_words(error: Exception, folder: UPath) -> StorageError:
    chain = list(causes(error))
    text = " ".join(f"{type(one).__name__}: {one}" for one in chain)
    # Azure's clients go on with the number of the request and its whole answer.
    first = " ".join(str(error).partition("RequestId:")[0].split())
    said = _without_secrets(first, folder.storage_options)[:300].rstrip(". ") or type(error).__name__
    if NO_CREDENTIALS.search(text):
        return StorageNotSet(f"There are no credentials for {folder} that can be used. {_how_to_set(folder.protocol)}")
    if any(isinstance(one, PermissionError) for one in chain) or FORBIDDEN.search(text):
        return StorageForbidden(
            f"A right or the right key for {folder} is missing: {said}. The keys have to allow listing, reading, "
            "writing and deleting below that folder. What readers see there is unchanged."
        )
    if any(isinstance(one, FileNotFoundError) for one in chain) or NOT_FOUND.search(text):
        return BucketNotFound(
            f"The bucket of {folder} does not exist, or the keys do not show it: {said}. Create it, or correct the "
            "address."
        )
    if isinstance(error, OSError) or UNREACHABLE.search(text):
        return StorageUnreachable(
            f"{folder} cannot be reached: {said}. What readers see there is unchanged. Check the network and the "
            "address, then run again."
        )
    return StorageError(f"{folder}: {type(error).__name__}: {said}. What readers see there is unchanged.")


def _how_to_set(scheme: str) -> str:
    return (
        f"Set DESTINATION__FILESYSTEM__CREDENTIALS__{CREDENTIALS[scheme]} in .env, or "
        "[destination.filesystem.credentials] in .dlt/secrets.toml."
    )


def _without_secrets(text: str, options: Mapping[str, Any]) -> str:
    for secret in sorted(_secrets(options), key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if name in PUBLIC:
            continue
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif isinstance(value, str) and len(value) >= SHORTEST_SECRET:
            yield value

"""Folders for output files: local, or in a bucket.

The credentials of a bucket are those of dlt's destination `filesystem`.
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

# A local folder, or one in a bucket.
Folder: TypeAlias = Path | UPath

# The module of each extra. An extra has the name of an address's scheme.
CLIENTS = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and …__AWS_SECRET_ACCESS_KEY",
    "gs": "PROJECT_ID, …__CLIENT_EMAIL and …__PRIVATE_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and …__AZURE_STORAGE_ACCOUNT_KEY",
}
# Options of a file system that are not secret.
PUBLIC = ("endpoint_url", "client_kwargs", "config_kwargs", "account_name", "account_host", "project", "profile")
SHORTEST_SECRET = 4

# gcsfs looks for a refresh token if it cannot read the key of a service account.
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
    """Files could not be read from or written to a bucket. The files that readers see are unchanged."""


class StorageNotSet(StorageError):
    """The package for a kind of bucket is missing, or its credentials are missing or invalid."""


class StorageForbidden(StorageError):
    """The keys are wrong or lack a permission."""


class BucketNotFound(StorageError):
    """The bucket does not exist."""


class StorageUnreachable(StorageError):
    """The storage cannot be reached or did not respond."""

    may_pass = True


def open_folder(address: str) -> Folder:
    """Returns the folder of a setting, which need not exist: an absolute path, or a path in a bucket.

    Raises StorageNotSet if the package or the credentials of a bucket are missing.
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
        # The cause is left out, because it may quote a secret that cannot be parsed.
        raise StorageNotSet(
            f"The credentials of {address} are missing or cannot be read. {_how_to_set(scheme)}"
        ) from None
    return UPath(address, **options)


def name_local_folder(folder: Folder) -> str:
    """Returns, for messages, the local folder that files are written to first; for a bucket, the temporary folder."""
    return str(folder) if isinstance(folder, Path) else f"{tempfile.gettempdir()}, for {folder},"


@contextmanager
def storage_errors(folder: UPath) -> Iterator[None]:
    """Converts errors of a bucket's client to StorageError, with messages that contain no secret."""
    try:
        yield
    except ReportedError:
        raise
    except Exception as error:  # noqa: BLE001 - each client has its own errors, and some of them quote requests
        raise _convert_error(error, folder) from None


def _convert_error(error: Exception, folder: UPath) -> StorageError:
    chain = list(causes(error))
    text = " ".join(f"{type(one).__name__}: {one}" for one in chain)
    # Messages of Azure's clients continue with the request id and the whole response.
    first = " ".join(str(error).partition("RequestId:")[0].split())
    said = _redact(first, folder.storage_options)[:300].rstrip(". ") or type(error).__name__
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


def _redact(text: str, options: Mapping[str, Any]) -> str:
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

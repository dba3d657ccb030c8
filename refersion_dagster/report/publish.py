"""Published copies: the summaries as Parquet, CSV and one read-only DuckDB file, in sets that are swapped atomically.

    refersion_published/
      current -> versions/20260701T000001Z-1a2b3c4d
      versions/20260701T000001Z-1a2b3c4d/
        refersion.duckdb  manifest.json  parquet/<summary>.parquet  csv/<summary>.csv

Tables in the DuckDB file have the warehouse's schema, refersion_summaries, so that the same query works in both; views
without a schema show the same tables. Parquet and DuckDB, which programs read, also have renamed columns under their
old names; CSV, which people open, does not. See file_sets.py for the swap.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb

from refersion_dagster.ingest.control_totals.hidden_tests import describe_unknown_tests
from refersion_dagster.report.checks import CheckState, Verdict
from refersion_dagster.report.file_sets import replace_set
from refersion_dagster.report.spreadsheet import FORMULA_BEGINS
from refersion_dagster.report.storage import Folder, storage_errors
from refersion_dagster.resources import SUMMARIES
from refersion_dagster.summaries.knowledge import GapReason, load_gap_reasons
from refersion_dagster.summaries.query import Summary
from refersion_dagster.warehouse.session import Session, comment_statements

DATABASE, MANIFEST, CURRENT = "refersion.duckdb", "manifest.json", "current"
ROWS_AT_ONCE = 50_000
# Number of sets to keep, including `current`.
KEPT = 3


@dataclass(frozen=True)
class PublishedTable:
    """One table of a set.

    Args:
        columns: name and DuckDB type.
        bytes: size of the Parquet file.
    """

    name: str
    rows: int
    columns: dict[str, str]
    bytes: int


@dataclass(frozen=True)
class PublishedCheck:
    """The last result of a check when the set was written, see CheckState.

    Args:
        at: ISO 8601, UTC; None if there is no result.
    """

    name: str
    asset: str
    verdict: Verdict
    said: str | None
    at: str | None


@dataclass(frozen=True)
class Manifest:
    """The description of a set. Times are ISO 8601, UTC.

    Args:
        as_of: when Refersion was last read; None if it was never read.
        run_id: Dagster run that wrote it.
        checks: the results of checks that vouch for the tables; empty if they were not known.
        not_offered: the tables and fields that the account does not offer; figures that need them are NULL.
        tests_not_known: what is not known about test conversions, which may then count in figures.
    """

    published_at: str
    as_of: str | None
    run_id: str
    version: str
    tables: list[PublishedTable]
    checks: list[PublishedCheck]
    not_offered: list[GapReason]
    tests_not_known: str | None


def publish(
    session: Session, summaries: Sequence[Summary], folder: Folder, run_id: str, checks: Sequence[CheckState] = ()
) -> tuple[Folder, Manifest]:
    """Writes a set of the summaries and makes it current.

    Args:
        checks: their last results, which the manifest lists.

    Returns its folder and manifest. Raises OSError, or StorageError for a bucket; the current set is then unchanged.
    """
    now = datetime.now(UTC)
    with replace_set(folder / CURRENT, folder / "versions", run_id, KEPT) as files:
        for kind in ("parquet", "csv"):
            (files.building / kind).mkdir()
        with duckdb.connect(str(files.building / DATABASE)) as copy:
            copy.execute("SET TimeZone = 'UTC'")
            copy.execute(f"CREATE SCHEMA {SUMMARIES}")
            currencies = _currencies(session)
            written = [_write(session, copy, summary, files.building, currencies) for summary in summaries]
            ((as_of,),) = copy.execute(f"SELECT max(as_of) FROM {SUMMARIES}.data_as_of").fetchall()  # noqa: S608
        manifest = Manifest(
            _iso(now),
            _iso(as_of) if as_of else None,
            run_id,
            version("refersion-dagster"),
            written,
            [
                PublishedCheck(one.name, one.asset, one.verdict, one.said, _iso(one.at) if one.at else None)
                for one in checks
            ],
            load_gap_reasons(session),
            describe_unknown_tests(session),
        )
        text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
        (files.building / MANIFEST).write_text(text, "utf-8")
    return files.done, manifest


def download_set(found: Folder) -> tuple[tempfile.TemporaryDirectory[str] | None, Path]:
    """Copies a bucket's set to a temporary folder, which is removed with the object. A local set is used in place."""
    if isinstance(found, Path):
        return None, found
    copied = tempfile.TemporaryDirectory(prefix="refersion-")
    folder = Path(copied.name)
    with storage_errors(found):
        for name in (MANIFEST, DATABASE):
            found.fs.get_file((found / name).path, str(folder / name))
    return copied, folder


def _currencies(session: Session) -> list[str]:
    """Returns the currencies in order, the account's own first; empty if an older release built the summaries."""
    if "place" not in dict(session.columns(SUMMARIES, "currencies")):
        return []
    return [name for (name,) in session.query(f"SELECT currency FROM {SUMMARIES}.currencies ORDER BY place")]  # noqa: S608


def _write(
    session: Session, copy: duckdb.DuckDBPyConnection, summary: Summary, folder: Path, currencies: Sequence[str]
) -> PublishedTable:
    """Copies one table into the DuckDB file, and from there to Parquet and CSV, sorted by currency."""
    table = f'{SUMMARIES}."{summary.name}"'
    columns = dict(session.columns(SUMMARIES, summary.name))
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    # One transaction per table, because each commit waits for the disk.
    copy.begin()
    copy.execute(f"CREATE TABLE {table} ({declared})")
    for chunk in session.arrow(f"SELECT * FROM {SUMMARIES}.{summary.name}", ROWS_AT_ONCE):  # noqa: S608 - names of ours
        copy.register("chunk", chunk)
        copy.execute(f"INSERT INTO {table} SELECT * FROM chunk")  # noqa: S608
        copy.unregister("chunk")
    copy.execute(f'CREATE VIEW main."{summary.name}" AS SELECT * FROM {table}')  # noqa: S608
    texts = {name: text for name, text in summary.header.columns.items() if name in columns}
    for statement in comment_statements(SUMMARIES, summary.name, summary.header.description, texts):
        copy.execute(statement)
    copy.commit()
    parquet, csv = folder / "parquet" / f"{summary.name}.parquet", folder / "csv" / f"{summary.name}.csv"
    by_currency = ""
    if "currency" in columns and currencies:
        places = " ".join(f"WHEN '{_double_quotes(name)}' THEN {place}" for place, name in enumerate(currencies))
        by_currency = f"ORDER BY CASE currency {places} END NULLS LAST, rowid"
    copy.execute(
        f"COPY (SELECT * FROM {table} {by_currency}) TO '{_double_quotes(parquet)}' (FORMAT parquet, COMPRESSION zstd)"  # noqa: S608
    )
    old_names = summary.header.renamed.values()
    harmless = ", ".join(_escape_formula(name, kind) for name, kind in columns.items() if name not in old_names)
    copy.execute(f"COPY (SELECT {harmless} FROM {table} {by_currency}) TO '{_double_quotes(csv)}' (HEADER)")  # noqa: S608
    ((rows,),) = copy.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608
    return PublishedTable(summary.name, rows, columns, parquet.stat().st_size)


def _escape_formula(name: str, kind: str) -> str:
    """Returns SQL for a CSV column, with an apostrophe before text that a spreadsheet would treat as a formula."""
    if kind != "varchar":
        return f'"{name}"'
    begins = ", ".join(f"chr({ord(character)})" for character in FORMULA_BEGINS)
    return f'CASE WHEN left("{name}", 1) IN ({begins}) THEN concat(\'\'\'\', "{name}") ELSE "{name}" END AS "{name}"'


def _double_quotes(text: Path | str) -> str:
    return str(text).replace("'", "''")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")

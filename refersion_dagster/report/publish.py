"""Published copies: the summaries as Parquet, CSV and one read-only DuckDB file, each set whole.

    refersion_published/
      current -> versions/20260701T000001Z-1a2b3c4d
      versions/20260701T000001Z-1a2b3c4d/
        refersion.duckdb  manifest.json  parquet/<summary>.parquet  csv/<summary>.csv

A set is written under another name and `current` then points to it, in one step. Whoever has files of an older set
open goes on reading them; the last few sets are kept.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import duckdb
import pyarrow as pa

from refersion_dagster.resources import SUMMARIES
from refersion_dagster.warehouse import Session

DATABASE, MANIFEST, CURRENT = "refersion.duckdb", "manifest.json", "current"
ROWS_AT_ONCE = 50_000
# Sets that are kept, `current` among them.
KEPT = 3
# A spreadsheet takes a cell that begins so for a formula, which may call a program or send other cells somewhere.
FORMULA_BEGINS = "=+-@\t\r"


@dataclass(frozen=True)
class Published:
    """One table of a set.

    Args:
        columns: name and type, in DuckDB's words.
        bytes: size of the Parquet file.
    """

    name: str
    rows: int
    columns: dict[str, str]
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What a set is. Times are ISO 8601, UTC.

    Args:
        as_of: when Refersion was last read; None in an account that was never read.
        run_id: the Dagster run that wrote it.
    """

    published_at: str
    as_of: str | None
    run_id: str
    version: str
    tables: list[Published]


def publish(session: Session, tables: Sequence[str], folder: Path, run_id: str) -> tuple[Path, Manifest]:
    """Writes a set of the tables (of refersion_summaries) and makes it the current one.

    Returns its folder and manifest. Raises OSError, and then the current set is as it was.
    """
    now = datetime.now(UTC)
    versions = folder / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=versions))
    try:
        for kind in ("parquet", "csv"):
            (building / kind).mkdir()
        with duckdb.connect(str(building / DATABASE)) as copy:
            copy.execute("SET TimeZone = 'UTC'")
            written = [_write(session, copy, table, building) for table in tables]
            ((as_of,),) = copy.execute("SELECT max(as_of) FROM data_as_of").fetchall()
        manifest = Manifest(_iso(now), _iso(as_of) if as_of else None, run_id, version("refersion-dagster"), written)
        (building / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n", "utf-8")
        for file in building.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o444)
        building.chmod(0o755)
        done = versions / f"{now:%Y%m%dT%H%M%S%fZ}-{run_id[:8]}"
        building.rename(done)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _point(folder / CURRENT, done)
    _clear(versions, keep=done, now=now)
    return done, manifest


def _write(session: Session, copy: duckdb.DuckDBPyConnection, table: str, folder: Path) -> Published:
    """One table into the DuckDB file, and from there into Parquet and CSV."""
    columns = dict(session.columns(SUMMARIES, table))
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    copy.execute(f'CREATE TABLE "{table}" ({declared})')
    for chunk in session.arrow(f"SELECT * FROM {SUMMARIES}.{table}", ROWS_AT_ONCE):  # noqa: S608 - names of ours
        _insert(copy, table, chunk)
    parquet, csv = folder / "parquet" / f"{table}.parquet", folder / "csv" / f"{table}.csv"
    copy.execute(f"COPY \"{table}\" TO '{_quoted(parquet)}' (FORMAT parquet, COMPRESSION zstd)")
    harmless = ", ".join(_harmless(name, kind) for name, kind in columns.items())
    copy.execute(f"COPY (SELECT {harmless} FROM \"{table}\") TO '{_quoted(csv)}' (HEADER)")  # noqa: S608
    ((rows,),) = copy.execute(f'SELECT count(*) FROM "{table}"').fetchall()  # noqa: S608
    return Published(table, rows, columns, parquet.stat().st_size)


def _insert(copy: duckdb.DuckDBPyConnection, table: str, chunk: pa.Table) -> None:
    copy.register("chunk", chunk)
    copy.execute(f'INSERT INTO "{table}" SELECT * FROM chunk')  # noqa: S608
    copy.unregister("chunk")


def _harmless(name: str, kind: str) -> str:
    """A column for CSV: an apostrophe before what a spreadsheet would take for a formula."""
    if kind != "varchar":
        return f'"{name}"'
    begins = ", ".join(f"chr({ord(character)})" for character in FORMULA_BEGINS)
    return f'CASE WHEN left("{name}", 1) IN ({begins}) THEN concat(\'\'\'\', "{name}") ELSE "{name}" END AS "{name}"'


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _point(link: Path, to: Path) -> None:
    """Makes `link` point to the folder, in one step whether or not it is there."""
    fresh = link.with_name(f".{link.name}-{to.name}")
    fresh.symlink_to(Path(to.parent.name) / to.name, target_is_directory=True)
    fresh.replace(link)


def _clear(versions: Path, keep: Path, now: datetime) -> None:
    """Removes all but the newest sets, and what runs that were stopped left unfinished a day ago or longer."""
    done = sorted(folder for folder in versions.iterdir() if not folder.name.startswith("."))
    for folder in done[:-KEPT]:
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in versions.glob(".building-*"):
        if now - datetime.fromtimestamp(folder.stat().st_mtime, UTC) > timedelta(days=1):
            shutil.rmtree(folder, ignore_errors=True)

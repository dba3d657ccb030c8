"""The published copies of several accounts in one set, in which each row names its account.

    all_accounts_published/
      current -> versions/20260701T000001000000Z-1a2b3c4d
      versions/20260701T000001000000Z-1a2b3c4d/
        refersion.duckdb  manifest.json  parquet/<table>.parquet

Nothing is added up: amounts of two accounts may differ in their currency, their time zone, the time of their last
reading, and in what is known. The tables are in the schema all_accounts, so that a query that was written for one
account does not count several. An account that cannot be read has no rows, and a row in `accounts` that says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import duckdb

from refersion_dagster.errors import ReportedError
from refersion_dagster.report.file_sets import current_set, replace_set
from refersion_dagster.report.publish import CURRENT, DATABASE, KEPT, MANIFEST, download_set
from refersion_dagster.report.storage import Folder, open_folder
from refersion_dagster.resources import SUMMARIES

SCHEMA = "all_accounts"
# Columns in front of each table's own.
ACCOUNT, AS_OF = "account", "account_as_of"
DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
INTEGERS = ("smallint", "integer", "bigint", "hugeint")
MAX_DIGITS = 38
CREATE_ACCOUNTS = f"""
CREATE TABLE {SCHEMA}.accounts (
  account VARCHAR PRIMARY KEY, as_of TIMESTAMPTZ, published_at TIMESTAMPTZ, timezone VARCHAR, is_late BOOLEAN,
  failed_checks BIGINT, tables BIGINT, reason VARCHAR
)
"""
CREATE_NOT_KNOWN = f"""
CREATE TABLE {SCHEMA}.not_known (account VARCHAR, table_name VARCHAR, column_name VARCHAR, reason VARCHAR)
"""
# What is read of the manifest of an account.
NEEDED = frozenset(("as_of", "published_at", "checks", "not_offered", "tests_not_known"))
# Tables of this module, which no summary may have the name of.
OWN_TABLES = ("accounts", "not_known")
COLUMNS = """
SELECT table_name, column_name, lower(data_type) FROM duckdb_columns()
WHERE database_name = $database AND schema_name = $schema AND NOT internal ORDER BY table_name, column_index
"""


@dataclass(frozen=True)
class AccountState:
    """What a set has of one account.

    Args:
        as_of: when Refersion was last read for the copies; None if there are no copies, or it was never read.
        published_at: when the copies were written.
        timezone: the time zone of the account's days and months.
        is_late: whether the last reading is older than allowed; None if it is not known.
        failed_checks: number of checks that failed; None if there are no copies.
        tables: number of tables with its rows.
        reason: why tables, or all of them, are not there; None if they are.
    """

    account: str
    as_of: datetime | None = None
    published_at: datetime | None = None
    timezone: str | None = None
    is_late: bool | None = None
    failed_checks: int | None = None
    tables: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class UnionResult:
    """A set that was written.

    Args:
        rows: number of rows by table.
    """

    folder: Folder
    accounts: Sequence[AccountState]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class _Copies:
    """The copies of an account, attached to the database that is written.

    Args:
        database: its name there.
        columns: name and type of each column, by table.
    """

    account: str
    database: str
    manifest: Mapping[str, Any]
    columns: Mapping[str, Mapping[str, str]]

    @property
    def as_of(self) -> datetime | None:
        return _moment(self.manifest["as_of"])


@dataclass
class _Gaps:
    """What is not known, as (account, table, column, reason)."""

    rows: list[tuple[str, str, str | None, str]] = field(default_factory=list)

    def add(self, account: str, table: str, column: str | None, reason: str) -> None:
        self.rows.append((account, table, column, reason))

    def tables_of(self, account: str) -> list[str]:
        """Tables that are left out although the account publishes them."""
        return [table for name, table, column, _ in self.rows if name == account and column is None]


def unite(accounts: Mapping[str, str], folder: Folder, run_id: str, late_hours: int) -> UnionResult:
    """Writes a set with all accounts and makes it current.

    Args:
        accounts: folders or buckets of their published copies, by name.
        late_hours: an account is late if it was last read longer ago.

    Raises OSError, or StorageError for a bucket; the current set is then unchanged.
    """
    now = datetime.now(UTC)
    gaps, states, rows = _Gaps(), dict[str, AccountState](), dict[str, int]()
    with replace_set(folder / CURRENT, folder / "versions", run_id, KEPT) as files:
        (files.building / "parquet").mkdir()
        with ExitStack() as stack, duckdb.connect(str(files.building / DATABASE)) as union:
            union.execute(f"SET TimeZone = 'UTC'; CREATE SCHEMA {SCHEMA}")
            found: list[_Copies] = []
            for number, (account, source) in enumerate(accounts.items()):
                try:
                    found.append(stack.enter_context(_attached(union, account, source, f"account_{number}")))
                except (ReportedError, OSError, duckdb.Error, ValueError, KeyError) as error:
                    states[account] = AccountState(account, reason=_sentence(error))
            for table in sorted({table for copies in found for table in copies.columns}):
                rows[table] = _write(union, table, found, gaps)
            for copies in found:
                states[copies.account] = _describe(union, copies, rows, gaps, now - timedelta(hours=late_hours))
            in_order = [states[account] for account in accounts]
            _write_own(union, in_order, gaps)
            for table in (*rows, *OWN_TABLES):
                union.execute(f'CREATE VIEW main."{table}" AS SELECT * FROM {SCHEMA}."{table}"')  # noqa: S608
                target = str(files.building / "parquet" / f"{table}.parquet").replace("'", "''")
                union.execute(f"COPY {SCHEMA}.\"{table}\" TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
            for copies in found:
                union.execute(f"DETACH {copies.database}")
        manifest = {
            "published_at": now.isoformat(timespec="seconds"),
            "run_id": run_id,
            "version": version("refersion-dagster"),
            "accounts": [asdict(state) for state in in_order],
            "tables": rows,
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False, default=datetime.isoformat) + "\n"
        (files.building / MANIFEST).write_text(text, "utf-8")
    return UnionResult(files.done, in_order, rows)


@contextmanager
def _attached(union: duckdb.DuckDBPyConnection, account: str, address: str, name: str) -> Iterator[_Copies]:
    """Attaches the current copies of an account. Raises NoCopies, StorageError, OSError and duckdb.Error."""
    folder = open_folder(address)
    current = current_set(folder / CURRENT)
    if current is None:
        raise NoCopies(f"nothing is published in {folder}: refresh the account")
    temporary, local = download_set(current)
    try:
        manifest = json.loads((local / MANIFEST).read_text("utf-8"))
        if missing := NEEDED - manifest.keys():
            raise NoCopies(f"its manifest lacks {', '.join(sorted(missing))}: refresh the account with this release")
        path = str(local / DATABASE).replace("'", "''")
        union.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
        columns: dict[str, dict[str, str]] = {}
        given = {"database": name, "schema": SUMMARIES}
        for table, column, kind in union.execute(COLUMNS, given).fetchall():
            columns.setdefault(table, {})[column] = kind
        yield _Copies(account, name, manifest, columns)
    finally:
        if temporary is not None:
            temporary.cleanup()


class NoCopies(ReportedError):
    """An account has no published copies."""


def _write(union: duckdb.DuckDBPyConnection, table: str, found: Sequence[_Copies], gaps: _Gaps) -> int:
    """Writes one table with the rows of all accounts that have it. Returns their number."""
    columns: dict[str, str] = {}
    fitting: list[_Copies] = []
    for copies in found:
        own = copies.columns.get(table)
        if own is None:
            gaps.add(copies.account, table, None, "the account does not publish this table")
        elif wrong := _problem(table, columns, own):
            gaps.add(copies.account, table, None, wrong)
        else:
            columns |= {name: _common_type(columns.get(name, kind), kind) or kind for name, kind in own.items()}
            fitting.append(copies)
    declared = "".join(f', "{name}" {kind}' for name, kind in columns.items())
    union.begin()
    union.execute(f'CREATE TABLE {SCHEMA}."{table}" ({ACCOUNT} VARCHAR, {AS_OF} TIMESTAMPTZ{declared})')
    for copies in fitting:
        for name in columns.keys() - copies.columns[table].keys():
            gaps.add(copies.account, table, name, "the account's table does not have this column")
        union.execute(
            f'INSERT INTO {SCHEMA}."{table}" BY NAME SELECT $account AS {ACCOUNT}, '  # noqa: S608 - names of ours
            f'CAST($as_of AS TIMESTAMPTZ) AS {AS_OF}, * FROM {copies.database}.{SUMMARIES}."{table}"',
            {"account": copies.account, "as_of": copies.as_of},
        )
    union.commit()
    ((rows,),) = union.execute(f'SELECT count(*) FROM {SCHEMA}."{table}"').fetchall()  # noqa: S608
    return int(rows)


def _problem(table: str, columns: Mapping[str, str], own: Mapping[str, str]) -> str | None:
    """Returns why an account's table cannot be united with those before it; None if it can."""
    if table in OWN_TABLES:
        return f"{table} is the name of a table of this set: give the summary another name"
    if taken := own.keys() & {ACCOUNT, AS_OF}:
        return f"it has a column {', '.join(sorted(taken))}, which is one of this set: give it another name"
    for name, kind in own.items():
        if name in columns and _common_type(columns[name], kind) is None:
            return f"its column {name} is {kind}, but {columns[name]} in another account: refresh both with one release"
    return None


def _common_type(first: str, second: str) -> str | None:
    """Returns the type that holds the values of both without a change; None if there is none."""
    if first == second:
        return first
    if first in INTEGERS and second in INTEGERS:
        return max(first, second, key=INTEGERS.index)
    one, other = DECIMAL.fullmatch(first), DECIMAL.fullmatch(second)
    if one and other:
        whole = max(int(found[1]) - int(found[2]) for found in (one, other))
        scale = max(int(found[2]) for found in (one, other))
        return f"decimal({whole + scale},{scale})" if whole + scale <= MAX_DIGITS else None
    return None


def _describe(
    union: duckdb.DuckDBPyConnection, copies: _Copies, rows: Mapping[str, int], gaps: _Gaps, late_before: datetime
) -> AccountState:
    manifest, as_of = copies.manifest, copies.as_of
    for gap in manifest["not_offered"]:
        gaps.add(copies.account, f"refersion_data.{gap['table']}", gap["column"], gap["reason"])
    if unknown := manifest["tests_not_known"]:
        gaps.add(copies.account, "refersion_data.conversions", "is_test_conversion", unknown)
    left_out = [table for table in gaps.tables_of(copies.account) if table in rows]
    zones = []
    if "data_as_of" in copies.columns:
        zones = union.execute(f"SELECT timezone FROM {copies.database}.{SUMMARIES}.data_as_of").fetchall()  # noqa: S608
    return AccountState(
        copies.account,
        as_of,
        _moment(manifest["published_at"]),
        zones[0][0] if zones else None,
        None if as_of is None else as_of < late_before,
        sum(check["verdict"] == "failed" for check in manifest["checks"]),
        len([table for table in copies.columns if table not in left_out]),
        f"without {', '.join(left_out)}: see not_known" if left_out else None,
    )


def _write_own(union: duckdb.DuckDBPyConnection, states: Sequence[AccountState], gaps: _Gaps) -> None:
    union.execute(CREATE_ACCOUNTS)
    union.execute(CREATE_NOT_KNOWN)
    for state in states:
        union.execute(f"INSERT INTO {SCHEMA}.accounts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [*vars(state).values()])  # noqa: S608
    for row in gaps.rows:
        union.execute(f"INSERT INTO {SCHEMA}.not_known VALUES (?, ?, ?, ?)", row)  # noqa: S608


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _sentence(error: Exception) -> str:
    told = str(error) if isinstance(error, ReportedError) else f"its copies cannot be read: {error}"
    return " ".join(told.split())

"""Checks the warehouse without changing it: existence, write access, locks and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError

from refersion_dagster.actions.journal.journal import Journal
from refersion_dagster.actions.journal.store import find_store
from refersion_dagster.actions.operations.outcomes import OPEN
from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, skipped, warned
from refersion_dagster.doctor.lock_owners import Holder, duckdb_holder, lock_holder
from refersion_dagster.doctor.machine import find_existing, write_probe
from refersion_dagster.errors import ReportedError
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import AnotherAccount, ServerUnavailable
from refersion_dagster.refersion.identity import check_account
from refersion_dagster.refersion.tables.catalog import ENTITIES
from refersion_dagster.resources import Warehouse
from refersion_dagster.settings import WarehouseSettings
from refersion_dagster.summaries.ownership import SummariesOfAnotherAccount, check_owner
from refersion_dagster.warehouse.database import Database
from refersion_dagster.warehouse.duckdb.database import LOCK_HOLDER
from refersion_dagster.warehouse.engine import try_exchange
from refersion_dagster.warehouse.errors import FileTooNew, WarehouseError
from refersion_dagster.warehouse.session import Session

ACCOUNT = ("account",)
NAMES = ("warehouse", "warehouse_writable", "warehouse_lock", "tables")
JOURNAL = ("journal",)
HOW_TO_CHOOSE = (
    "Set REFERSION_JOURNAL=sqlite:////folder/journal.sqlite, or postgresql://user:password@host:5432/database."
)
# Of the engine of summaries, if the settings name one.
ENGINE, ENGINE_FOLDER = ENGINE_NAMES = ("engine", "engine_folder")
REFRESH = "Run the job refersion_refresh."


def check_warehouse(warehouse: Warehouse) -> Iterator[DoctorCheck]:
    try:
        database = warehouse.database
    except WarehouseError as error:
        yield failed("warehouse", str(error), "Correct REFERSION_DESTINATION.")
        yield from (skipped(name, "no warehouse configured") for name in NAMES[1:])
        return
    if database.file is not None:
        yield from _look_at_file(warehouse, database.file)
    else:
        yield from _look_at_server(warehouse, database)


def _look_at_file(warehouse: Warehouse, path: Path) -> Iterator[DoctorCheck]:
    holder = lock_holder(Path(f"{path}.lock"))
    if not path.exists():
        yield passed("warehouse", f"{path} will be created by the first refresh", location=str(path), exists=False)
        yield _writable(path)
        yield _lock(warehouse, path, holder, None)
        yield passed("tables", "nothing is loaded yet", loaded=[], missing=list(ENTITIES), rows={})
        return
    other = duckdb_holder(path) if path.is_file() else None
    try:
        with warehouse.session(read_only=True) as session:
            tables = _tables(session)
    except FileTooNew as error:
        remedy = "Convert it as docs/warehouses.md describes (DuckDB 2)."
        yield failed("warehouse", str(error), remedy, location=str(path), exists=True)
        yield from (skipped(name, "the database cannot be read") for name in NAMES[1:])
        return
    except (DatabaseException, DestinationConnectionError) as error:
        said = str(error).rpartition("The actual reason given is: ")[2].strip()
        if not LOCK_HOLDER.search(said):
            yield failed(
                "warehouse",
                f"{path} cannot be read: {said}",
                "Check that REFERSION_DUCKDB_PATH is a readable DuckDB file, written by this version of DuckDB "
                "or an older one.",
                location=str(path),
                exists=True,
            )
            yield from (skipped(name, "the database cannot be read") for name in NAMES[1:])
            return
        tables = skipped("tables", "cannot be read while another program writes")
    yield passed("warehouse", str(path), location=str(path), exists=True)
    yield _writable(path)
    yield _lock(warehouse, path, holder, other)
    yield tables


def _writable(path: Path) -> DoctorCheck:
    """Tests with a temporary file in the folder, and by opening the database file for writing without a write."""
    folder = find_existing(path.parent)
    try:
        write_probe(folder)
        if path.exists():
            with path.open("r+b"):
                pass
    except OSError as error:
        return failed(
            "warehouse_writable",
            f"{error.filename or folder}: {error.strerror}",
            "Give the user that runs Dagster write permission there, or set REFERSION_DUCKDB_PATH to another place.",
            folder=str(folder),
        )
    return passed("warehouse_writable", f"{folder} is writable", folder=str(folder))


def _lock(warehouse: Warehouse, path: Path, run: Holder | None, other: Holder | None) -> DoctorCheck:
    details = {"held_by": (run or other or Holder(None, None)).as_json()}
    patience = f"A refresh waits up to {warehouse.lock_timeout_seconds} s (REFERSION_LOCK_TIMEOUT_SECONDS)."
    if run is not None:
        return warned("warehouse_lock", f"a run is writing now: {run}", patience, **details)
    if other is not None:
        return failed(
            "warehouse_lock",
            f"{path.name} is open in another program: {other}",
            f"Close it there: DuckDB allows no other writer in the meantime. {patience}",
            **details,
        )
    return passed("warehouse_lock", "not locked", **details)


def _look_at_server(warehouse: Warehouse, database: Database) -> Iterator[DoctorCheck]:
    try:
        location = warehouse.location
        if not database.exists:
            yield passed("warehouse", f"{location} will be made by the first refresh", location=location, exists=False)
            yield from (skipped(name, "there is nothing yet") for name in NAMES[1:-1])
            yield passed("tables", "nothing is loaded yet", loaded=[], missing=list(ENTITIES), rows={})
            return
        with warehouse.session(read_only=True) as session:
            yield passed("warehouse", location, location=location, exists=True)
            access = database.write_access(session)
            tables = _tables(session)
    except WarehouseError as error:
        yield failed("warehouse", str(error), "Correct the settings, or check the server.")
        yield from (skipped(name, "the database cannot be reached") for name in NAMES[1:])
        return
    if access.is_granted:
        yield passed("warehouse_writable", "its user has the required privileges")
    else:
        yield failed(
            "warehouse_writable",
            "its user may not create schemas",
            access.how_to_grant,
        )
    if access.writer:
        patience = f"A refresh waits up to {warehouse.lock_timeout_seconds} s."
        yield warned(
            "warehouse_lock", f"a run is writing now: {access.writer}", patience, held_by={"words": access.writer}
        )
    else:
        yield passed("warehouse_lock", "not locked", held_by={})
    yield tables


def _tables(session: Session) -> DoctorCheck:
    """Reports the existing raw tables, their row counts and their last reading."""
    found = set(session.tables(DATASET))
    loaded = [name for name in ENTITIES if name in found]
    missing = [name for name in ENTITIES if name not in found]
    if not loaded:
        return passed("tables", "nothing is loaded yet", loaded=[], missing=missing, rows={})
    rows = {name: session.count(DATASET, name) for name in loaded}
    details = {"loaded": loaded, "missing": missing, "rows": rows}
    if missing:
        what = "does not exist" if len(missing) == 1 else "do not exist"
        return warned("tables", f"{', '.join(missing)} {what}", f"{REFRESH} It loads the complete history.", **details)
    read = [
        moment
        for name in loaded
        if (moment := session.query(f"SELECT max(read_at) FROM {DATASET}.{name}")[0][0]) is not None  # noqa: S608
    ]
    latest = max(read, default=None)
    told = f"all {len(loaded)}, {rows['conversions']:,} conversions"
    if latest is not None:
        told += f", last read {latest.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        details["read_at"] = latest.astimezone(UTC).isoformat()
    return passed("tables", told, **details)


def check_account_identity(account: RefersionClient, warehouse: Warehouse) -> Iterator[DoctorCheck]:
    """Checks that the keys belong to the account in the warehouse, with the same code as a run."""
    try:
        if not warehouse.database.exists:
            yield passed("account", "nothing is loaded yet")
            return
        with warehouse.session(read_only=True) as session:
            check_account(account, session.query)
            if warehouse.schemas:
                check_owner(session, warehouse.schemas)
    except SummariesOfAnotherAccount as error:
        yield failed("account", str(error), "Give each account schemas of its own in its defs.yaml.")
    except AnotherAccount as error:
        yield failed("account", error.what, str(error.advice))
    except ServerUnavailable as error:
        yield skipped("account", f"Refersion does not respond: {error.what.rstrip('.')}")
    except (DestinationConnectionError, WarehouseError):
        yield skipped("account", "the warehouse cannot be read")
    else:
        yield passed("account", "the warehouse has no rows of another account")


def check_journal(warehouse: Warehouse, allow_writes: bool) -> Iterator[DoctorCheck]:
    """Checks whether the journal that is set can be read, whether it is the only one, and what is open in it."""
    try:
        store = find_store(warehouse)
        if store is None and not warehouse.database.enforces_keys:
            what = "the warehouse does not enforce primary keys, and no other database is chosen for the journal"
            yield failed("journal", what, HOW_TO_CHOOSE) if allow_writes else skipped("journal", f"not needed: {what}")
            return
        if store is None:
            yield passed("journal", "in the warehouse", location=warehouse.location)
            return
        with store.session() as session:
            entries = Journal(session).entries()
        forgotten = _entries_in_warehouse(warehouse)
    except (DatabaseException, DestinationConnectionError):
        yield skipped("journal", "the warehouse cannot be read")
        return
    except ReportedError as error:
        yield failed("journal", str(error), "Correct REFERSION_JOURNAL, or check the database.")
        return
    outcomes = Counter(entry.outcome.value for entry in entries)
    still_open = sum(outcomes[outcome.value] for outcome in OPEN)
    details = {"location": store.location, "outcomes": dict(outcomes)}
    if forgotten:
        yield failed(
            "journal",
            f"{store.location} is set, but the warehouse has a journal with {forgotten} entries",
            "Run refersion-dagster actions move-journal.",
            **details,
        )
    elif still_open:
        yield warned(
            "journal",
            f"{store.location}: {still_open} of {len(entries)} items may or may not have been carried out",
            "Run refersion-dagster actions list.",
            **details,
        )
    else:
        yield passed("journal", f"{store.location}, {len(entries)} items", **details)


def _entries_in_warehouse(warehouse: Warehouse) -> int:
    database = warehouse.database
    if not (database.enforces_keys and database.exists):
        return 0
    with warehouse.session(read_only=True) as session:
        return len(Journal(session).attempts())


def check_engine(warehouse: Warehouse) -> Iterator[DoctorCheck]:
    """Connects to the engine and sends it rows, which have to come back."""
    name, folder = WarehouseSettings.variable("spark_remote"), WarehouseSettings.variable("spark_folder")
    try:
        with warehouse.engine() as (engine, exchange):
            yield passed(ENGINE, engine.describe())
            try:
                try_exchange(engine, exchange)
            except (WarehouseError, DatabaseException) as error:
                yield failed(
                    ENGINE_FOLDER,
                    f"rows do not reach the engine and come back through {warehouse.spark_folder}: {error}",
                    f"Set {folder} to a folder that this machine and all of the cluster have under the same path, and "
                    "to which both may write.",
                )
            else:
                yield passed(ENGINE_FOLDER, f"{warehouse.spark_folder} is shared with the engine")
    except (WarehouseError, DatabaseException) as error:
        yield failed(ENGINE, str(error), f"Correct {name} and {folder}, or check the cluster.")
        yield skipped(ENGINE_FOLDER, "the engine cannot be used")

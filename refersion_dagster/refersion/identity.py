"""Detects which account a warehouse belongs to: rows of two accounts in the same tables could not be separated.

The warehouse stores a salted hash of each key that it was loaded with. An unknown key belongs to the same account if
most of the rows that it returns are in the warehouse, because ids are unique to an account. Keys can therefore be
replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dlt.destinations.exceptions import DatabaseUndefinedRelation

from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.rest import PAGE_SIZE
from refersion_dagster.refersion.environment import DATASET
from refersion_dagster.refersion.errors import AnotherAccount, RefersionError, ServerUnavailable
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.extract.page_assembler import Slice
from refersion_dagster.refersion.tables.catalog import CONVERSIONS
from refersion_dagster.refersion.windows import Window, whole_second

TABLE = "_account"
CREATE = f"""
CREATE TABLE IF NOT EXISTS {DATASET}.{TABLE} (
  salt varchar NOT NULL, fingerprint varchar NOT NULL, seen_at timestamp with time zone NOT NULL
)
"""
# Runs one statement in DuckDB's dialect.
Run = Callable[[str], Sequence[Sequence[Any]]]


def check_account(account: RefersionClient, run: Run) -> None:
    """Compares the account with the one in the warehouse. Queries Refersion only for unknown keys.

    Each key is checked separately, because the REST pair of one account and the token of another would mix their rows
    too. Raises AnotherAccount, and ServerUnavailable if the check is not possible now.
    """
    keys = account.credentials
    for key, variable, look in (
        (keys.public_key, "REFERSION_PUBLIC_KEY", _by_affiliates),
        (keys.graphql_token, "REFERSION_GRAPHQL_TOKEN", _by_conversions),
    ):
        if key is None or _is_known(key, run):
            continue
        try:
            is_same = look(account, run)
        except ServerUnavailable:
            raise
        except RefersionError:
            continue  # a refused key loads nothing
        if is_same is False:
            raise AnotherAccount(
                f"The warehouse contains rows of another Refersion account: the account of {variable} has none of "
                "them. Nothing was written.",
                advice="Use a separate warehouse for this account (REFERSION_DUCKDB_PATH, or another database), "
                "or correct the keys and URLs. If it is the same account, run: refersion-dagster accept-account",
            )


def remember_account(keys: Iterable[str | None], run: Run) -> None:
    """Stores the fingerprints of the keys (public key, token) that the warehouse was loaded with."""
    new = [key for key in keys if key and not _is_known(key, run)]
    if not new:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    run(CREATE)
    for key in new:
        salt = secrets.token_hex(16)
        run(
            f"INSERT INTO {DATASET}.{TABLE} VALUES ('{salt}', '{_fingerprint(salt, key)}', "  # noqa: S608 - digits only
            f"CAST('{now}' AS timestamp with time zone))"
        )


def _is_known(key: str, run: Run) -> bool:
    known = _rows(run, f"SELECT salt, fingerprint FROM {DATASET}.{TABLE}")  # noqa: S608 - names of ours
    return any(_fingerprint(salt, key) == fingerprint for salt, fingerprint in known)


def _by_affiliates(account: RefersionClient, run: Run) -> bool | None:
    held = {str(id) for (id,) in _rows(run, f"SELECT id FROM {DATASET}.affiliate_list")}  # noqa: S608
    if not held:
        return None
    answer: Any = account.rest.call("/affiliate/list", {"limit": str(PAGE_SIZE), "page": "1"})
    rows = answer.get("results") if isinstance(answer, dict) else None
    theirs = {str(row["id"]) for row in rows or () if isinstance(row, dict) and row.get("id")}
    return _is_majority_known(theirs, held)


def _by_conversions(account: RefersionClient, run: Run) -> bool | None:
    """Compares conversions of the last loaded day and the first conversions of the account."""
    newest = _rows(run, f"SELECT max(created) FROM {DATASET}.conversions WHERE vanished_at IS NULL")  # noqa: S608
    if not newest or newest[0][0] is None:
        return None
    held = {str(id) for (id,) in _rows(run, f"SELECT id FROM {DATASET}.conversions")}  # noqa: S608
    end = whole_second(newest[0][0]) + timedelta(seconds=1)
    selection = account.graphql.select(CONVERSIONS)
    ids = replace(selection, columns=tuple(c for c in selection.columns if c.name == "id"), extras=())
    theirs: set[str] = set()
    for window in (Window(end - timedelta(days=1), end), Window(BEGINNING, end)):
        theirs |= {str(id) for id in account.graphql.fetch(ids, Slice(window, window), 0, PAGE_SIZE).ids}
    return _is_majority_known(theirs, held)


def _is_majority_known(theirs: set[str], held: set[str]) -> bool | None:
    """More than half, because single ids of two accounts may be equal by chance."""
    return len(theirs & held) * 2 > len(theirs) if theirs else None


def _fingerprint(salt: str, key: str) -> str:
    return hmac.new(bytes.fromhex(salt), key.encode(), hashlib.sha256).hexdigest()


def _rows(run: Run, sql: str) -> Sequence[Sequence[Any]]:
    with suppress(DatabaseUndefinedRelation):
        return run(sql)
    return ()

"""`refersion-dagster actions`"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from refersion_dagster.errors import ReportedError
from refersion_dagster.settings.selection import account_option, select_account

if TYPE_CHECKING:
    from refersion_dagster.actions.journal.journal import Entry
    from refersion_dagster.actions.reconciliation.evidence import Evidence
    from refersion_dagster.resources import RefersionResource, Warehouse


@click.group()
def actions() -> None:
    """What was written to Refersion, and what has to be settled.

    Credits, approvals and other writes are sent by Dagster's jobs actions_…, each launched by a person:

    \b
      dagster job execute -m refersion_dagster.definitions \\
        -j actions_conversion_manual_credit -c credits.yaml

    A call whose response was lost may or may not have been carried out. It is never repeated automatically: `list`
    shows it, `show` shows what Refersion's own data says about it now, and `settle` records your decision.
    """


@actions.command("list")
@account_option
@click.option("--all", "everything", is_flag=True, help="Include all items that were sent, not only the open ones.")
@click.option("--endpoint", help="Show only this operation, for example conversion_manual_credit.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects.")
def list_open_items(account: str | None, everything: bool, endpoint: str | None, as_json: bool) -> None:
    """List open items: they were sent, but it is unknown whether Refersion carried them out."""
    from refersion_dagster.actions.operations.outcomes import OPEN
    from refersion_dagster.actions.reconciliation.resolve import open_journal

    warehouse, _ = resources_of_account(account)
    with _show_errors(), open_journal(warehouse, _print) as (journal, _session):
        entries = [entry for entry in journal.entries(endpoint) if everything or entry.outcome in OPEN]
    if as_json:
        click.echo(json.dumps([_plain(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    if not entries:
        click.echo("Nothing was sent yet." if everything else "Nothing is open. --all lists what was sent.")
        return
    _print_entries(entries)
    if not everything:
        command = f"refersion-dagster actions show KEY{_option(account)}"
        click.echo(f"\nTo see what Refersion says about an item now: {command}")


@actions.command()
@click.argument("key")
@account_option
def show(key: str, account: str | None) -> None:
    """Show one item and what Refersion's own data says about it now. KEY may be a prefix of a key."""
    from refersion_dagster.actions.operations.outcomes import OPEN
    from refersion_dagster.actions.reconciliation.resolve import evidence_on, find_entry, open_journal

    warehouse, refersion = resources_of_account(account)
    with _show_errors(), open_journal(warehouse, _print) as (journal, session):
        entry = find_entry(journal.entries(), key)
        _print_entry(entry)
        _print_evidence(evidence_on(entry, journal, session, refersion))
    if entry.outcome in OPEN:
        click.echo(
            f"\nIf it was done:      refersion-dagster actions settle {entry.key[:8]} --as done{_option(account)}\n"
            f"If it was not done:  refersion-dagster actions settle {entry.key[:8]} --as not-done{_option(account)}"
        )


@actions.command()
@click.argument("key")
@account_option
@click.option(
    "--as",
    "decision",
    type=click.Choice(["done", "not-done"]),
    required=True,
    help="done: the item is never sent again. not-done: the next run of the same items sends it.",
)
@click.option("--by", help="Who decides. Default: the current operating-system user.")
@click.option("--note", help="The reason, kept in the journal.")
@click.option("--conversion-id", help="Id of the conversion that the item created, if it was not found automatically.")
@click.option("--despite-evidence", is_flag=True, help="Record not-done although Refersion shows a matching record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def settle(
    key: str,
    account: str | None,
    decision: str,
    by: str | None,
    note: str | None,
    conversion_id: str | None,
    despite_evidence: bool,
    yes: bool,
) -> None:
    """Record whether an open item was done. KEY may be a prefix of a key.

    Nothing is sent. Refersion's current data is shown first, and a decision that would send something twice is refused.
    """
    from refersion_dagster.actions.reconciliation import resolve
    from refersion_dagster.refersion.errors import RefersionError

    warehouse, refersion = resources_of_account(account)
    done = decision == "done"
    with _show_errors(), resolve.open_journal(warehouse, _print) as (journal, session):
        entry = resolve.find_entry(journal.entries(), key)
        resolve.check_decision(entry, done, None, despite_evidence)
        _print_entry(entry)
        evidence = None
        try:
            evidence = resolve.evidence_on(entry, journal, session, refersion)
            _print_evidence(evidence)
        except RefersionError as error:
            _print(f"Refersion could not be queried: {error}")
        resolve.check_decision(entry, done, evidence, despite_evidence)
        if not yes:
            click.confirm(f"\nSettle it as {decision.replace('-', ' ')}?", abort=True)
        found = {"conversion_id": conversion_id} if conversion_id else evidence.found if evidence else {}
        resolve.resolve(
            entry,
            journal,
            session,
            warehouse,
            done=done,
            by=by or getpass.getuser(),
            note=note,
            found=found,
            tell=_print,
        )
    click.echo("Settled. " + ("It is not sent again." if done else "The next run of the same items sends it."))


@actions.command("move-journal")
@account_option
@click.option(
    "--from",
    "source",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The SQLite file to move from. Default: the warehouse.",
)
def move_journal(account: str | None, source: Path | None) -> None:
    """Move the journal to the database that REFERSION_JOURNAL names.

    Refused if that one has entries already. Repeat a move that was interrupted; until then nothing is sent.
    """
    from refersion_dagster.actions.journal.transfer import move_journal as move

    warehouse, _ = resources_of_account(account)
    with _show_errors():
        moved = move(warehouse, source, _print)
    click.echo(f"Moved {moved} entries.")


@actions.command()
@click.argument("endpoint", required=False)
def fields(endpoint: str | None) -> None:
    """Describe the fields of an operation; without an operation, list them all."""
    from rich.console import Console
    from rich.table import Table

    from refersion_dagster.actions.operations.catalog import ENDPOINTS
    from refersion_dagster.actions.operations.types import plain_type
    from refersion_dagster.actions.planning.input_files import file_columns

    console = Console()
    if endpoint is None:
        table = Table(box=None, show_header=False)
        for one in ENDPOINTS.values():
            table.add_row(one.name, one.description)
        console.print(table)
        return
    if endpoint not in ENDPOINTS:
        raise click.ClickException(f"There is no operation {endpoint}; available are {', '.join(ENDPOINTS)}.")
    one = ENDPOINTS[endpoint]
    console.print(f"{one.description} Job [bold]{one.job}[/bold], POST {one.path}.\n")
    table = Table("field", "", "description", box=None)
    for name, field in one.item.model_fields.items():
        words = get_args(kind) if get_origin(kind := plain_type(field.annotation)) is Literal else ()
        of = f" One of {', '.join(words)}." if words else ""
        table.add_row(name, "required" if field.is_required() else "", f"{field.description}{of}")
    console.print(table)
    click.echo(f"\nHeader of a CSV file: {','.join(file_columns(one))}")


def resources_of_account(account: str | None) -> tuple[Warehouse, RefersionResource]:
    """Returns the warehouse and the account in Refersion; see `select_account`.

    Raises ClickException if there is no such account or a setting is invalid.
    """
    from refersion_dagster.settings import AccountSettings, InvalidSetting, WarehouseSettings

    selected = select_account(account)
    try:
        selected.settings.check([*WarehouseSettings.variables().values(), *AccountSettings.variables().values()])
    except InvalidSetting as error:
        raise click.ClickException(str(error)) from None
    return selected.warehouse(), selected.refersion()


def _option(account: str | None) -> str:
    """Returns what the next command needs to be about the same account."""
    return f" --account {account}" if account else ""


@contextmanager
def _show_errors() -> Iterator[None]:
    """Shows reported errors as one line instead of a traceback."""
    try:
        yield
    except ReportedError as error:
        raise click.ClickException(str(error)) from error


def _print(words: str) -> None:
    click.echo(words, err=True)


def _plain(entry: Entry) -> dict[str, Any]:
    values = {**vars(entry), "outcome": entry.outcome.value}
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in values.items()}


def _print_entries(entries: list[Entry]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("key", "operation", "outcome", "item", "when (UTC)", "who", box=None)
    for entry in entries:
        item = ", ".join(f"{name} {value}" for name, value in entry.request.items())
        table.add_row(
            entry.key[:8] if len(entry.key) == 20 else escape(entry.key),
            entry.endpoint,
            entry.outcome.value,
            escape(item),
            f"{entry.intended_at:%Y-%m-%d %H:%M}",
            escape(entry.requested_by or ""),
        )
    Console(width=None if os.isatty(1) else 200).print(table)


def _print_entry(entry: Entry) -> None:
    from refersion_dagster.actions.operations.outcomes import MEANING

    click.echo(f"{entry.endpoint}, key {entry.key}, attempt {entry.attempt}")
    for name, value in entry.request.items():
        click.echo(f"  {name}: {value}")
    click.echo(
        f"requested by {entry.requested_by} on {entry.intended_at:%Y-%m-%d %H:%M:%S} UTC ({entry.source}, "
        f"{entry.place}), run {entry.run_id}"
    )
    click.echo(f"{entry.outcome}: {MEANING[entry.outcome]}" + (f" ({entry.message})" if entry.message else ""))


def _print_evidence(evidence: Evidence) -> None:
    click.echo(f"\nRefersion now: {evidence.verdict}. {evidence.words}")
    for row in evidence.rows:
        click.echo("  " + ", ".join(f"{name} {value}" for name, value in row.items() if value))

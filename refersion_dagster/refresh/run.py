"""Runs refersion_refresh or refersion_statements in this process, without Dagster's event output."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click
from rich.console import Console

from refersion_dagster.errors import ReportedError
from refersion_dagster.terminal import make_console

if TYPE_CHECKING:
    import dagster as dg

    from refersion_dagster.component.accounts import SelectedAccount
    from refersion_dagster.doctor.inputs import DoctorInputs
    from refersion_dagster.refresh.summary import RunOutcome
    from refersion_dagster.usage.meter import Usage

JOB, STATEMENTS_JOB = "refersion_refresh", "refersion_statements"
# Dagster prints every event of a run unless its console logger is configured otherwise.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
STOPPED = "Stopped. Committed data is kept; the next run continues from there."


class ShellRun:
    """One run of a job, from a shell.

    Args:
        account: name of the account of a component; None for the usual account.
    """

    job = JOB

    def __init__(self, account: str | None = None) -> None:
        self._account = account
        self.console = make_console(highlight=False)
        self._instance: dg.DagsterInstance | None = None
        self._run_id: str | None = None

    def carry_out(self) -> int:
        """Runs the job and prints the result. Returns the exit code.

        Raises ClickException if a setting prevents the run.
        """
        began = time.monotonic()
        from refersion_dagster.settings.selection import select_account

        account = select_account(self._account)
        self.check(account)
        from refersion_dagster.dev import dagster_home
        from refersion_dagster.refresh.summary import read_outcome

        os.environ["DAGSTER_HOME"] = str(dagster_home())
        import dagster as dg

        from refersion_dagster.usage.meter import METER

        before = METER.read()
        with dg.DagsterInstance.get() as instance:
            self._instance, self._run_id = instance, str(uuid4())
            execute(self.console, instance, self._run_id, account, self.job, self.config(account))
            happened = read_outcome(instance, self._run_id)
            self._run_id = None
        self.show(happened, account, time.monotonic() - began, METER.read() - before)
        return 0 if happened.is_well else 1

    def config(self, account: SelectedAccount) -> Mapping[str, Any]:
        """Returns the run's configuration."""
        return {}

    def check(self, account: SelectedAccount) -> None:
        """Raises ClickException if a setting prevents the run."""
        check_settings(account)

    def show(self, happened: RunOutcome, account: SelectedAccount, seconds: float, usage: Usage) -> None:
        from refersion_dagster.refresh.summary import show_summary

        show_summary(self.console, happened, account, seconds, usage)

    def cancel(self) -> None:
        """Reports that the run was stopped, in the terminal and in Dagster's instance."""
        self.console.show_cursor(True)
        self.console.print(f"\n{STOPPED}", soft_wrap=True)
        if self._instance and self._run_id and (run := self._instance.get_run_by_id(self._run_id)):
            from refersion_dagster.records import cancel_run

            cancel_run(self._instance, run, "Stopped from the shell that started it.")


class ShellStatementsRun(ShellRun):
    """A run of the job that generates statements.

    Args:
        options: fields of its configuration.
        account: see ShellRun.
    """

    job = STATEMENTS_JOB

    def __init__(self, options: Mapping[str, Any], account: str | None = None) -> None:
        super().__init__(account)
        self._options = dict(options)

    def config(self, account: SelectedAccount) -> Mapping[str, Any]:
        return {"ops": {account.names.step("report", "statements"): {"config": self._options}}}

    def check(self, account: SelectedAccount) -> None:
        check_values(account)

    def show(self, happened: RunOutcome, account: SelectedAccount, seconds: float, usage: Usage) -> None:
        from refersion_dagster.refresh.summary import show_statements

        show_statements(self.console, happened, account.names)


def execute(
    console: Console,
    instance: dg.DagsterInstance,
    run_id: str,
    account: SelectedAccount,
    job_name: str = JOB,
    config: Mapping[str, Any] = {},
) -> None:
    """Runs a job to its end and shows its progress.

    Args:
        job_name: usual name of the job.

    Raises ClickException if the code location cannot be built, or does not have this job.
    """
    from refersion_dagster.refresh.progress import followed

    try:
        built = account.build()
    except ReportedError as error:
        raise click.ClickException(str(error)) from None
    name = account.names.name(job_name)
    if name not in built.get_repository_def().job_names:
        raise click.ClickException(f"There is no job {name}: the component leaves out summaries that the job needs.")
    job = built.resolve_job_def(name)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(followed(console, instance, run_id, len(job.nodes)))
        job.execute_in_process(instance=instance, run_id=run_id, raise_on_error=False, run_config={**QUIET, **config})


def check_values(account: SelectedAccount) -> DoctorInputs:
    """Returns the settings. Raises ClickException for invalid ones, before a run is created."""
    from refersion_dagster.doctor.inputs import find_inputs
    from refersion_dagster.doctor.settings import WHERE_SET

    given = find_inputs(account.settings, account.names, account.build)
    if wrong := given.problems:
        raise click.ClickException("\n".join([*wrong, WHERE_SET]))
    return given


def check_settings(account: SelectedAccount) -> None:
    """Raises ClickException or SystemExit if the keys are missing or invalid, before a run is created."""
    from refersion_dagster.doctor.inputs import KEYS
    from refersion_dagster.refersion.api.auth import Credentials
    from refersion_dagster.refersion.errors import InvalidCredentials, MissingCredentials

    given = check_values(account)
    if given.settings.account.exports_path:
        return
    keys = Credentials(*(given.values.get(name) for name in KEYS))
    try:
        keys.check()
    except InvalidCredentials as error:
        raise click.ClickException(account.names.rename_words(str(error))) from None
    if not keys.has_rest and not keys.has_graphql:
        for needed in (keys.rest, keys.graphql):
            try:
                needed()
            except MissingCredentials as error:
                click.echo(f"Error: {account.names.rename_words(str(error))}", err=True)
        raise SystemExit(1)

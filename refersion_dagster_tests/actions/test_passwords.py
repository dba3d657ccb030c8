"""Passwords of new affiliates are in no journal, table, log, metadata or file except the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from refersion_dagster.actions.execution.sender import make_password
from refersion_dagster.actions.operations.catalog import AFFILIATE_NEW
from refersion_dagster.actions.operations.types import read_password
from refersion_dagster.actions.orchestration.config import config_class
from refersion_dagster_tests.actions.actions_harness import ActionsHarness, csv_file
from refersion_dagster_tests.test_secrets import files_with

NEW = {"first_name": "A", "last_name": "B", "email": "new@example.com", "status": "ACTIVE"}
PASSWORD = 'Hush!"/&<1é'
HEADER = "first_name,last_name,email,status,password"


def file_with_a_password(actions: ActionsHarness, folder: Path) -> str:
    quoted = PASSWORD.replace('"', '""')
    return csv_file(folder / "new.csv", HEADER, f'A,B,new@example.com,ACTIVE,"{quoted}"')


def traces(actions: ActionsHarness, ended: Any) -> list[str]:
    """Returns the places where the password appears after a run."""
    told = "\n".join([*ended.log, ended.failure, str(ended.metadata)])
    forms = (PASSWORD, "Hush!", "Hush!&quot;", 'Hush!\\"')
    return [form for form in forms if form in told] + [
        path for path in files_with(actions.database.parent, *forms) if not path.endswith("new.csv")
    ]


@pytest.mark.exhaustive
def test_one_of_a_file_goes_to_refersion_alone(actions: ActionsHarness, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"file {number}").touch()  # files_with requires a minimum number of files
    actions.sandbox.fault(
        "rest:/affiliate/new", "status", status=422, body={"errors": [f"{PASSWORD} is too well known"]}
    )
    file = file_with_a_password(actions, tmp_path)
    shown = actions.launch("affiliate_new", file=file, dry_run=True)
    assert any('"password":"[from the file]","send_welcome":"FALSE"' in line for line in shown.log)
    refused = actions.launch("affiliate_new", file=file)
    assert "[password] is too well known" in refused.failure
    done = actions.launch("affiliate_new", file=file, again=True)
    assert done.success, done.failure
    for ended in (shown, refused, done):
        assert traces(actions, ended) == []


def test_one_that_is_wrong_is_not_repeated_to_the_user(actions: ActionsHarness, tmp_path: Path) -> None:
    file = csv_file(tmp_path / "new.csv", HEADER, "A,B,new@example.com,ACTIVE,hush-hush")
    ended = actions.launch("affiliate_new", file=file)
    assert "row 2: password needs an upper-case letter; needs a digit" in ended.failure
    assert "hush-hush" not in "\n".join([*ended.log, ended.failure])


def test_a_run_s_configuration_has_no_place_for_one() -> None:
    """Dagster stores and shows the configuration."""
    (item,) = get_args(config_class(AFFILIATE_NEW).model_fields["items"].annotation)
    assert "password" not in item.model_fields
    assert "email" in item.model_fields


def test_one_is_made_where_none_is_given_and_the_affiliate_is_welcomed(actions: ActionsHarness) -> None:
    """The sandbox checks it against Refersion's rules."""
    ended = actions.launch("affiliate_new", [NEW], dry_run=True)
    assert any('"password":"[generated when sent]","send_welcome":"TRUE"' in line for line in ended.log)
    assert actions.send("affiliate_new", [NEW]) == ["done"]


def test_made_ones_follow_the_rules_and_differ() -> None:
    made = [make_password() for _ in range(300)]
    assert [read_password(one).get_secret_value() for one in made] == made
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("echo", ['{"errors": ["%s"]}', "<html>%s</html>"])
def test_an_answer_is_cleared_of_it_in_each_form_it_may_have(echo: str) -> None:
    import html
    import json

    from refersion_dagster.actions.execution.sender import make_redactor

    for form in (
        PASSWORD,
        json.dumps(PASSWORD)[1:-1],
        json.dumps(PASSWORD, ensure_ascii=False)[1:-1].replace("/", "\\/"),
        html.escape(PASSWORD),
        json.dumps(html.escape(PASSWORD))[1:-1],
    ):
        assert make_redactor(PASSWORD)((echo % form).encode()) == (echo % "[password]").encode()

"""Rows of one account only: each run that writes raw tables compares the account before its first row."""

from __future__ import annotations

import dagster as dg

from refersion_dagster.refersion.errors import RefersionError, ServerUnavailable
from refersion_dagster.refersion.identity import check_account
from refersion_dagster.resources import RefersionResource, Warehouse


def refuse_another_account(refersion: RefersionResource, warehouse: Warehouse) -> None:
    """Raises dg.Failure for another account than the one whose rows the warehouse holds; see check_account."""
    account = refersion.account()
    try:
        with warehouse.session() as session:
            check_account(account, session.native)
    except RefersionError as error:
        raise dg.Failure(str(error), allow_retries=isinstance(error, ServerUnavailable)) from error
    finally:
        account.close()

"""Keeps rows of only one account in a warehouse: each run that writes raw tables first checks the account."""

from __future__ import annotations

from refersion_dagster.refersion.identity import check_account
from refersion_dagster.resources import RefersionResource, Warehouse


def refuse_another_account(refersion: RefersionResource, warehouse: Warehouse) -> None:
    """Raises AnotherAccount if the warehouse contains another account's rows; see check_account."""
    account = refersion.account()
    try:
        with warehouse.session() as session:
            check_account(account, session.query)
    finally:
        account.close()

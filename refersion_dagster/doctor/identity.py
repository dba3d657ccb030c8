"""Checks that the keys belong to the account in the warehouse, with the same code as a run."""

from __future__ import annotations

from collections.abc import Iterator

from dlt.destinations.exceptions import DestinationConnectionError

from refersion_dagster.doctor.findings import DoctorCheck, failed, passed, skipped
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.errors import AnotherAccount, ServerUnavailable
from refersion_dagster.refersion.identity import check_account
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.errors import WarehouseError

NAMES = ("account",)


def check_account_identity(account: RefersionClient, warehouse: Warehouse) -> Iterator[DoctorCheck]:
    try:
        if not warehouse.database.exists:
            yield passed("account", "nothing is loaded yet")
            return
        with warehouse.session(read_only=True) as session:
            check_account(account, session.query)
    except AnotherAccount as error:
        yield failed("account", error.what, str(error.advice))
    except ServerUnavailable as error:
        yield skipped("account", f"Refersion does not respond: {error.what.rstrip('.')}")
    except (DestinationConnectionError, WarehouseError):
        yield skipped("account", "the warehouse cannot be read")
    else:
        yield passed("account", "the warehouse has no rows of another account")

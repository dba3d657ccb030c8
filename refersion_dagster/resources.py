"""What a run needs from outside: the Refersion account and the warehouse."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg
from dlt.extract.source import DltSource
from pydantic import Field

from refersion_dagster.refersion import ReadReport, refersion_source
from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.graphql import URL as GRAPHQL_URL
from refersion_dagster.refersion.api.rest import URL as REST_URL
from refersion_dagster.refersion.environment import INTEGERS, ROWS_PER_LOAD, from_dlt
from refersion_dagster.refersion.extract.incremental import LOOKBACK_DAYS
from refersion_dagster.warehouse.errors import WarehouseBusy
from refersion_dagster.warehouse.resource import POOL, SUMMARIES, Warehouse

__all__ = ["POOL", "SUMMARIES", "RefersionResource", "Warehouse", "WarehouseBusy", "from_environment"]


class RefersionResource(dg.ConfigurableResource):
    """A Refersion account: its keys and addresses, and how to read it.

    Keys are found in Refersion under Account > Settings > Refersion API. REST needs the key pair, GraphQL the token;
    with the pair alone the REST tables load and the others fail with a sentence that says what to set.
    """

    public_key: str | None = Field(default=None, description="REST public key (pub_…).")
    api_key: str | None = Field(default=None, description="REST secret key (sec_…), or the pair public.secret.")
    graphql_token: str | None = Field(default=None, description="GraphQL token.")
    rest_url: str = Field(default=REST_URL, description="Base URL of REST v2.")
    graphql_url: str = Field(default=GRAPHQL_URL, description="URL of GraphQL.")
    start_date: str | None = Field(
        default=None,
        description="First date to load (YYYY-MM-DD, UTC). Default: the account's beginning.",
    )
    lookback_days: int = Field(
        default=LOOKBACK_DAYS,
        ge=0,
        description="Days before the last run to read again. Refersion approves pending conversions after 90 days.",
    )
    pii: str = Field(default="hash", description="Customers' e-mail, name and IP address: hash, keep or drop.")
    pii_salt: str | None = Field(default=None, description="Salt of the hash. Default: a random one per warehouse.")
    # An EnvVar counts as 0 until a run begins, so bounds are checked there, by refersion_source.
    max_concurrency: int = Field(default=8, description="Maximum number of parallel requests per API.")
    retry_seconds: int = Field(default=300, ge=0, description="Maximum time in seconds for retrying one request.")
    rows_per_load: int = Field(
        default=ROWS_PER_LOAD, description="Commit after whole months that contain about this many rows."
    )

    def account(self, retry_seconds: int | None = None) -> RefersionClient:
        """The account's clients, for single requests; `close` it afterwards.

        Args:
            retry_seconds: instead of the resource's own.
        """
        # The source finds what is not given in dlt's configuration, and so do single requests.
        names = ("public_key", "api_key", "graphql_token")
        return RefersionClient(
            Credentials(*(getattr(self, name) or from_dlt(name) for name in names)),
            self.rest_url,
            self.graphql_url,
            self.max_concurrency,
            self.retry_seconds if retry_seconds is None else retry_seconds,
        )

    def source(self, report: ReadReport, **options: Any) -> DltSource:
        """The account as a dlt source. `options` are further arguments of `refersion_source`, and win over this."""
        return refersion_source(
            **{
                "api_key": self.api_key,
                "public_key": self.public_key,
                "graphql_token": self.graphql_token,
                "rest_url": self.rest_url,
                "graphql_url": self.graphql_url,
                "start_date": self.start_date,
                "lookback_days": self.lookback_days,
                "pii": self.pii,
                "pii_salt": self.pii_salt,
                "max_concurrency": self.max_concurrency,
                "retry_seconds": self.retry_seconds,
                "rows_per_load": self.rows_per_load,
                "report": report,
                "totals_of_loaded": True,
                # The resource is one account; variables may be another's.
                "use_environment": False,
                **{name: value for name, value in options.items() if value is not None},
            }
        )


# Fields of resources that are whole numbers.
NUMBERS = frozenset({*INTEGERS, "lock_timeout_seconds"})
WAREHOUSE_VARIABLES = {
    "destination": "REFERSION_DESTINATION",
    "duckdb_path": "REFERSION_DUCKDB_PATH",
    "lock_timeout_seconds": "REFERSION_LOCK_TIMEOUT_SECONDS",
}


def from_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """Resource fields as EnvVars, for the variables that are set.

    Dagster reads them when a run begins, so secrets are in no definition; a variable that is not set leaves the field
    to its default instead of keeping the code location from loading.
    """
    return {
        field: dg.EnvVar.int(name) if field in NUMBERS else dg.EnvVar(name)
        for field, name in variables.items()
        if os.environ.get(name)
    }

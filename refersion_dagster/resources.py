"""The resources of a run: the Refersion account and the warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

import dagster as dg
from dlt.extract.source import DltSource

from refersion_dagster.refersion import LoadRequest, ReadReport, refersion_source
from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.api.status_page import StatusPage
from refersion_dagster.refersion.environment import from_dlt
from refersion_dagster.refersion.errors import UnusableSetting
from refersion_dagster.refersion.exports.reader import Export
from refersion_dagster.refersion.exports.source import export_source
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.windows import parse_moment
from refersion_dagster.settings import AccountSettings, Settings
from refersion_dagster.settings.part import SettingsPart, like
from refersion_dagster.warehouse.errors import WarehouseBusy
from refersion_dagster.warehouse.resource import POOL, SUMMARIES, RenamedWarehouse, Warehouse

__all__ = [
    "POOL",
    "SUMMARIES",
    "PrefixedRefersionResource",
    "RefersionResource",
    "RenamedWarehouse",
    "Warehouse",
    "WarehouseBusy",
    "resource_of",
]

KEYS = ("public_key", "api_key", "graphql_token")


class RefersionResource(dg.ConfigurableResource):
    """A Refersion account: its keys and addresses, and how to read it.

    Keys are found in Refersion under Account > Settings > Refersion API. REST needs the key pair, GraphQL the token;
    with the pair alone the REST tables load and the others fail with a sentence that says what to set.
    """

    public_key: str | None = like(AccountSettings, "public_key")
    api_key: str | None = like(AccountSettings, "api_key")
    graphql_token: str | None = like(AccountSettings, "graphql_token")
    rest_url: str = like(AccountSettings, "rest_url")
    graphql_url: str = like(AccountSettings, "graphql_url")
    status_url: str | None = like(AccountSettings, "status_url")
    exports_path: str | None = like(AccountSettings, "exports_path")
    start_date: str | None = like(AccountSettings, "start_date")
    # An EnvVar counts as 0 until a run begins, so bounds are checked there, by refersion_source.
    lookback_days: int = like(AccountSettings, "lookback_days", ge=0)
    pii: str = like(AccountSettings, "pii")
    pii_salt: str | None = like(AccountSettings, "pii_salt")
    max_concurrency: int = like(AccountSettings, "max_concurrency")
    retry_seconds: int = like(AccountSettings, "retry_seconds", ge=0)
    rows_per_load: int = like(AccountSettings, "rows_per_load")
    # Whether keys that are not set are looked up in dlt's configuration, [sources.refersion_source].
    reads_dlt_configuration: ClassVar[bool] = True

    @classmethod
    def of(cls, account: AccountSettings) -> RefersionResource:
        """The account in the settings, for use outside of Dagster. It contains the keys."""
        return cls(**account.list_set_values())

    def account(self, retry_seconds: int | None = None) -> RefersionClient:
        """The account's clients, for single requests. `close` it afterwards.

        Args:
            retry_seconds: replaces the resource's own setting.
        """
        # The source looks up missing values in dlt's configuration; single requests do the same.
        found = from_dlt if self.reads_dlt_configuration else lambda _: None
        return RefersionClient(
            Credentials(*(getattr(self, name) or found(name) for name in KEYS)),
            self.rest_url,
            self.graphql_url,
            self.max_concurrency,
            self.retry_seconds if retry_seconds is None else retry_seconds,
        )

    def status_page(self) -> StatusPage | None:
        """The status page of the account's servers. None if there is none to read."""
        return StatusPage.of(self.status_url, self.rest_url, self.graphql_url)

    def first_moment(self) -> datetime:
        """Where the first load begins. Raises InvalidSetting."""
        start = AccountSettings.of({}, start_date=self.start_date or None).start_date
        return parse_moment(start) if start else BEGINNING

    def exports_folder(self) -> Path | None:
        """The folder of CSV exports that the account is read from; None for an account that is read by API.

        Raises UnusableSetting if there are keys as well: rows of both could not be told apart.
        """
        if not self.exports_path:
            return None
        keys = self.account().credentials
        if keys.public_key or keys.secret_key or keys.graphql_token:
            raise UnusableSetting(
                "Both REFERSION_EXPORTS_PATH and keys of Refersion's API are set.",
                advice="Remove one of them: an account is read from exports or by API.",
            )
        return Path(self.exports_path).expanduser()

    def export_source(self, export: Export | None, report: ReadReport, tables: Sequence[str]) -> DltSource:
        """The rows of an export as a dlt source."""
        unset = None if self.reads_dlt_configuration else ""
        return export_source(export, report, tables, self.pii, self.pii_salt or unset)

    def source(self, report: ReadReport, request: LoadRequest | None = None) -> DltSource:
        """The account as a dlt source that reads what is requested; by default, what a refresh reads."""
        # dlt looks up what is None, but not what is empty.
        unset = None if self.reads_dlt_configuration else ""
        return refersion_source(
            api_key=self.api_key or unset,
            public_key=self.public_key or unset,
            graphql_token=self.graphql_token or unset,
            rest_url=self.rest_url,
            graphql_url=self.graphql_url,
            start_date=self.start_date or unset,
            lookback_days=self.lookback_days,
            pii=self.pii,
            pii_salt=self.pii_salt or unset,
            max_concurrency=self.max_concurrency,
            retry_seconds=self.retry_seconds,
            rows_per_load=self.rows_per_load,
            report=report,
            request=request,
            totals_of_loaded=True,
            # The resource is one account; variables may belong to another.
            use_environment=False,
        )


class PrefixedRefersionResource(RefersionResource):
    """An account whose variables have a prefix. Keys in dlt's configuration belong to the account without a prefix."""

    reads_dlt_configuration: ClassVar[bool] = False


Resource = TypeVar("Resource", bound=dg.ConfigurableResource)


def resource_of(
    kind: type[Resource],
    settings: Settings,
    part: type[SettingsPart],
    fixed: Mapping[str, str] = MappingProxyType({}),
    **renamed: str,
) -> Resource:
    """Creates a resource for definitions from one part of the settings.

    Secrets and URLs are EnvVars, which Dagster resolves when a run begins, so that no definition contains them.
    Invalid numbers are EnvVars too: the run that needs one fails and names the variable.

    Args:
        fixed: values of fields that are not settings.
        renamed: maps fields of the resource to fields of the part with other names.
    """
    values: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if name in fixed:
            continue
        setting = renamed.get(name, name)
        variable, is_number = part.variable(setting), isinstance(field.default, int)
        text = settings.variables.get(variable)
        if text is None:
            continue
        if setting in part.private():
            values[name] = dg.EnvVar(settings.variable(variable))
        elif is_number and variable in settings.problems:
            values[name] = dg.EnvVar.int(settings.variable(variable))
        else:
            values[name] = int(text) if is_number else text
    return kind(**values, **fixed)

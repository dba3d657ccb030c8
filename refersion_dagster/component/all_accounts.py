"""The component that unites the published copies of several accounts."""

from collections.abc import Mapping, Sequence

import dagster as dg
from pydantic import Field, field_validator

from refersion_dagster.automation.conditions import NOT_YET_TRIED, PARENTS_NEWER
from refersion_dagster.component.component import RefersionComponent, check_name
from refersion_dagster.failures import report_errors
from refersion_dagster.report.storage import open_folder
from refersion_dagster.report.union import AccountState, unite
from refersion_dagster.settings import AlertSettings
from refersion_dagster.summaries.markdown import markdown_table

CHECK = "accounts_are_current"
# The table of one account is enough: the others may be late, or may never have been published.
FOLLOW_ANY_PARENT = (PARENTS_NEWER & NOT_YET_TRIED & ~dg.AutomationCondition.in_progress()).with_label(
    "the copies of an account are newer"
)


class UnknownAccounts(dg.DagsterInvalidDefinitionError):
    """The component names accounts that the project does not have. The message says which it has."""


class AllAccountsComponent(dg.Component, dg.Model, dg.Resolvable):
    """The summaries of several accounts side by side, made from their published copies.

    Each row names its account and when that was last read. Nothing is added up over accounts. An account that failed
    or is late holds up no other: its last copies are shown with their own time.
    """

    name: str = Field(
        default="all_accounts",
        description="Name of the set, in lower case: first part of the asset key, and group.",
        examples=["all_accounts"],
    )
    accounts: list[str] | None = Field(
        default=None,
        description="Names of the accounts. Default: every RefersionComponent of the project.",
        examples=[["shop_eu", "shop_us"]],
    )
    publish_path: str | None = Field(
        default=None,
        description="Folder or bucket of the set. Default: all_accounts_refersion_published.",
        examples=["all_accounts_refersion_published"],
    )
    late_hours: int = Field(
        default=AlertSettings.model_fields["late_hours"].default,
        gt=0,
        description="An account is late if it was last read longer ago, in hours.",
        examples=[30],
    )
    schedules: bool = Field(
        default=True, description="Whether a sensor renews the set when the copies of an account are newer."
    )

    @field_validator("name")
    @classmethod
    def check_set_name(cls, name: str) -> str:
        return check_name("name", name, "all_accounts")

    def select_accounts(self, components: Sequence[RefersionComponent]) -> list[RefersionComponent]:
        """Returns the components of the accounts, in order. Raises UnknownAccounts."""
        found = {one.account: one for one in components}
        there = f"The project has {', '.join(sorted(found)) or 'no RefersionComponent'}."
        if unknown := [name for name in self.accounts or () if name not in found]:
            raise UnknownAccounts(f"accounts of {self.name} has {', '.join(unknown)}, which does not exist. {there}")
        if not found:
            raise UnknownAccounts(f"There is no account for {self.name}. {there}")
        if self.name in found:
            raise UnknownAccounts(f"name is {self.name}, which is an account of the project: choose another one.")
        return [found[name] for name in self.accounts or sorted(found)]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return self.unite(self.select_accounts(context.component_tree.get_all_components(RefersionComponent)))

    def unite(self, accounts: Sequence[RefersionComponent]) -> dg.Definitions:
        """Builds the definitions of the set of these accounts."""
        published = {one.account: one.load_settings().outputs.publish_path for one in accounts}
        keys = [one.namespace.asset_key("published", "summaries") for one in accounts]
        asset = self._build_asset(published, keys)
        sensor = dg.AutomationConditionSensorDefinition(
            f"{self.name}_refersion_automation",
            target=dg.AssetSelection.assets(*asset.keys),
            default_status=dg.DefaultSensorStatus.RUNNING,
            description="Renews the set of all accounts when the published copies of one of them are newer.",
        )
        return dg.Definitions(assets=[asset], sensors=[sensor] if self.schedules else [])

    def _build_asset(self, published: Mapping[str, str], parents: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
        key = dg.AssetKey([self.name, "published", "summaries"])
        address = self.publish_path or f"{self.name}_refersion_published"
        late_hours = self.late_hours

        @dg.asset(
            key=key,
            group_name=self.name,
            kinds={"duckdb", "parquet"},
            owners=["team:data"],
            deps=parents,
            automation_condition=FOLLOW_ANY_PARENT,
            check_specs=[
                dg.AssetCheckSpec(
                    CHECK, asset=key, description="Every account has published copies that are not late and complete."
                )
            ],
            description="""The summaries of all accounts side by side, as Parquet and as one read-only DuckDB file, \
made from the published copies of each account.

Every table has the columns `account` and `account_as_of` in front. Amounts are per account and currency, and are not \
added up over accounts. `accounts` says when each account was last read and whether it is late; `not_known` says what \
is not known of which account, and why.

**Answers**
- What is owed, and who drove the sales, in each account?
- Which account is late?""",
        )
        @report_errors
        def unite_accounts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            united = unite(published, open_folder(address), context.run.run_id, late_hours)
            wanting = [one for one in united.accounts if one.reason or one.is_late is not False]
            passed = dg.AssetCheckResult(
                passed=not wanting,
                check_name=CHECK,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(_describe(one) for one in wanting) or None,
            )
            columns = ("account", "as_of", "is_late", "failed_checks", "tables", "reason")
            lines = [[getattr(one, column) for column in columns] for one in united.accounts]
            return dg.MaterializeResult(
                metadata={
                    "folder": dg.MetadataValue.path(str(united.folder)),
                    "accounts": dg.MetadataValue.md(markdown_table(columns, lines)),
                    "tables": len(united.rows),
                    "dagster/row_count": sum(united.rows.values()),
                },
                check_results=[passed],
            )

        return unite_accounts


def _describe(account: AccountState) -> str:
    reasons = [account.reason] if account.reason else []
    if account.is_late:
        reasons.insert(0, f"last read {account.as_of:%Y-%m-%d %H:%M} UTC")
    if account.is_late is None and not account.reason:
        reasons.append("never read")
    return f"{account.account}: {', '.join(reasons)}"

"""The dlt source: Refersion's tables as dlt resources. Values that are not passed come from dlt's configuration."""

from __future__ import annotations

from collections.abc import Iterable

import dlt
from dlt.common.typing import TSecretStrValue
from dlt.extract.resource import DltResource

from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.api.client import RefersionClient
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.extract.stats import ReadReport
from refersion_dagster.refersion.request import LoadRequest
from refersion_dagster.refersion.resources import ReadOptions, ResourceFactory
from refersion_dagster.refersion.tables.catalog import (
    AFFILIATE_GET,
    AFFILIATE_LIST,
    AFFILIATES,
    CLICKS,
    CONVERSION_TOTALS,
    CONVERSIONS,
    OFFERS,
    PAYMENTS,
)
from refersion_dagster.refersion.tables.privacy import PersonalData
from refersion_dagster.refersion.windows import parse_moment
from refersion_dagster.settings import AccountSettings, Settings


def build_resources(account: RefersionClient, options: ReadOptions, report: ReadReport) -> Iterable[DltResource]:
    """Refersion's tables as dlt resources, one for each of catalog.ENTITIES."""
    tables = ResourceFactory(account, options, report)
    yield tables.resource(AFFILIATE_LIST, tables.affiliate_list)
    yield tables.resource(AFFILIATE_GET, tables.affiliate_get)
    yield tables.resource(CONVERSION_TOTALS, tables.conversion_totals)
    for entity in (AFFILIATES, OFFERS):
        yield tables.resource(entity, lambda report, entity=entity: tables.read_list(entity, report))
    for entity in (PAYMENTS, CONVERSIONS):
        yield tables.resource(entity, lambda report, entity=entity: tables.read_windows(entity, report))
    yield tables.resource(CLICKS, tables.clicks)


@dlt.source(name="refersion_source", section="refersion_source", max_table_nesting=0)
def refersion_source(
    api_key: TSecretStrValue | None = None,
    public_key: TSecretStrValue | None = None,
    graphql_token: TSecretStrValue | None = None,
    rest_url: str | None = None,
    graphql_url: str | None = None,
    start_date: str | None = None,
    lookback_days: int | None = None,
    read_from: str | None = None,
    read_to: str | None = None,
    full_reload: bool = False,
    all_details: bool = False,
    totals_by: str = "month",
    totals_of_loaded: bool = False,
    pii: str | None = None,
    pii_salt: TSecretStrValue | None = None,
    max_concurrency: int | None = None,
    retry_seconds: int | None = None,
    rows_per_load: int | None = None,
    report: ReadReport | None = None,
    request: LoadRequest | None = None,
    use_environment: bool = True,
) -> Iterable[DltResource]:
    """A Refersion account: affiliate_list, affiliate_get, conversion_totals (REST), affiliates, offers, payments,
    conversions and clicks (GraphQL). Every table merges on its primary key.

    Values that are not given come from dlt's configuration: `[sources.refersion_source]` in `.dlt/secrets.toml` and
    `.dlt/config.toml`, or the environment (`SOURCES__REFERSION_SOURCE__API_KEY`). What is not there either comes from
    this project's own variables (REFERSION_PUBLIC_KEY, …); only REFERSION_ROWS_PER_LOAD does not count.

    Conversions, payments and totals are read by windows of `created`: everything at first, then from `lookback_days`
    before the last run on, as conversions change status and are paid long after they were made.

    Args:
        api_key: the REST secret key (`sec_…`), or the pair `public.secret` in one string.
        public_key: the REST public key (`pub_…`).
        graphql_token: the GraphQL token. Without it the three REST tables still load.
        rest_url, graphql_url: other addresses, such as a sandbox's.
        start_date: the first load begins here (a date or time, UTC where no zone is named); without it, at the
            account's beginning.
        lookback_days: how many days to read again.
        read_from, read_to: an explicit span of `created`, half-open, which leaves the high-water mark alone.
        full_reload: read everything from start_date again.
        all_details: read the details of every affiliate, not only of new and changed ones.
        totals_by: period of the control totals, "month" or "day".
        totals_of_loaded: ask for control totals only up to where conversions were read, in this run or the last one.
        pii: what becomes of customers' e-mail, name and ip: "hash", "keep" or "drop".
        pii_salt: key of the hash; without one, a random one that is kept in dlt's state.
        max_concurrency: maximum number of parallel requests per API.
        retry_seconds: how long one request may be retried.
        rows_per_load: stop each windowed table after whole months of about this many rows; `report.more` then tells to
            run again.
        report: filled with counts and findings.
        request: what to read, instead of read_from, read_to, full_reload and all_details; it may also have a look-back.
        use_environment: whether this project's own variables count.

    Raises (when the tables are read):
        refersion.errors.RefersionError and its subclasses.

    Raises ValueError, which names all settings that are wrong, and for arguments that contradict each other.
    """
    variables = dict(Settings.of().variables) if use_environment else {}
    if "." in (api_key or ""):
        variables.pop(AccountSettings.variable("public_key"), None)  # the pair contains it
    given = AccountSettings.of(
        variables,
        public_key=public_key or None,
        api_key=api_key or None,
        graphql_token=graphql_token or None,
        start_date=start_date or None,
        lookback_days=lookback_days,
        pii=pii or None,
        pii_salt=pii_salt or None,
        max_concurrency=max_concurrency,
        retry_seconds=retry_seconds,
        rows_per_load=rows_per_load,
        rest_url=rest_url or None,
        graphql_url=graphql_url or None,
    )
    secrets = {name: given.list_set_values().get(name) for name in given.secrets()}
    if totals_by not in ("month", "day"):
        raise ValueError(f"totals_by is {totals_by!r}; it can be month or day.")
    account = RefersionClient(
        Credentials(secrets["public_key"], secrets["api_key"], secrets["graphql_token"]),
        given.rest_url,
        given.graphql_url,
        given.max_concurrency,
        given.retry_seconds,
    )
    request = request or LoadRequest.from_texts(read_from, read_to, full_reload=full_reload, all_details=all_details)
    options = ReadOptions(
        request=request,
        span=request.span(parse_moment(given.start_date) if given.start_date else BEGINNING, given.lookback_days),
        personal=PersonalData(given.pii),
        salt=secrets["pii_salt"],
        totals_by=totals_by,
        totals_of_loaded=totals_of_loaded,
        # The variable is ignored: a caller that does not check `report.more` would stop after the first months.
        rows_per_load=rows_per_load,
    )
    return list(build_resources(account, options, report if report is not None else ReadReport()))

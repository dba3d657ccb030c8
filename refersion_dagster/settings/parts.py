"""The parts of the settings: each variable with its type, default, bounds and description."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr

from refersion_dagster.settings.part import SettingsPart, setting
from refersion_dagster.settings.values import (
    check_secret,
    check_spark_remote,
    cron,
    folder_or_bucket,
    journal_address,
    memory,
    one_of,
    parse_switch,
    past_date,
    time_zone,
    url,
    url_or_off,
    whole_number,
)

Count = Annotated[int, BeforeValidator(whole_number())]
PositiveCount = Annotated[int, BeforeValidator(whole_number(1))]
Cron = Annotated[str, AfterValidator(cron)]
OwnSecret = Annotated[SecretStr, AfterValidator(check_secret)]
TimeZone = Annotated[str, AfterValidator(time_zone)]
Url = Annotated[str, AfterValidator(url)]
JournalAddress = Annotated[SecretStr, AfterValidator(check_secret), AfterValidator(journal_address)]
FolderOrBucket = Annotated[str, AfterValidator(folder_or_bucket)]

ENGINES = ("warehouse", "spark")
DESTINATIONS = ("duckdb", "postgres", "ducklake", "motherduck", "bigquery", "databricks", "snowflake", "redshift")
FILES = (
    "For tables as files in a bucket set ducklake. With every database the published copies can go to a bucket: "
    "REFERSION_PUBLISH_PATH=s3://bucket/folder."
)


class AccountSettings(SettingsPart):
    """The Refersion account: its keys and addresses, and how to read it."""

    # Credentials detects placeholders from examples, whatever the source of the keys.
    public_key: SecretStr | None = setting(None, "REST public key (pub_…).", example="pub_…")
    api_key: SecretStr | None = setting(
        None,
        "REST secret key (sec_…), or the pair public.secret. For dlt this is api_key.",
        variable="REFERSION_SECRET_KEY",
        example="sec_…",
    )
    graphql_token: SecretStr | None = setting(
        None,
        "GraphQL token: a separate key on the same page, with which conversions, payments and offers are loaded.",
        example="",
    )
    exports_path: str | None = setting(
        None,
        "Folder of CSV exports, for accounts without API; instead of keys.",
        more="See [Accounts without API](exports.md).",
    )
    start_date: Annotated[str, AfterValidator(past_date)] | None = setting(
        None, "First date to load (YYYY-MM-DD, UTC).", shown_default="the account's beginning", example="2024-01-01"
    )
    lookback_days: Count = setting(
        # Longer than the 90 days after which Refersion approves pending conversions automatically (documented).
        120,
        "Days before the last run to read again. Refersion approves pending conversions after 90 days.",
    )
    pii: Annotated[str, AfterValidator(one_of("hash", "keep", "drop"))] = setting(
        "hash", "Customers' e-mail, name and IP address: hash, keep or drop.", example="hash"
    )
    pii_salt: OwnSecret | None = setting(
        None,
        "Salt of the hash. With your own, hashes are comparable elsewhere. A warehouse keeps its first salt; another "
        "one is refused.",
        shown_default="random, kept in the warehouse",
        example="",
    )
    max_concurrency: PositiveCount = setting(
        8,
        "Maximum number of parallel requests per API; reduced automatically when Refersion responds “too many "
        "requests”.",
    )
    retry_seconds: Count = setting(300, "Maximum time in seconds for retrying one request.")
    rows_per_load: PositiveCount = setting(200_000, "Commit after whole months that contain about this many rows.")
    rest_url: Url = setting(
        "https://api.refersion.com/v2", "Base URL of REST v2; another one for a sandbox.", shown_default="Refersion's"
    )
    graphql_url: Url = setting(
        "https://graphql.refersion.com", "URL of GraphQL; another one for a sandbox.", shown_default="Refersion's"
    )
    status_url: Annotated[str, AfterValidator(url_or_off)] | None = setting(
        None,
        "Refersion's status page, which is read if something fails: another address, or `off`.",
        shown_default="Refersion's, unless the API has another address",
        more="See [Doctor](doctor.md#refersions-status-page).",
    )


class SecretFileSettings(SettingsPart):
    """Secrets that a container has as files."""

    secrets_dir: str | None = setting(
        None,
        "Folder with a file for each secret, such as /run/secrets in a container. The name of a file is the name of "
        "the variable, its content the value.",
    )


class WarehouseSettings(SettingsPart):
    """The database that tables land in."""

    destination: Annotated[
        str, AfterValidator(one_of(*DESTINATIONS, others=("postgresql",), instead={"filesystem": FILES}))
    ] = setting(
        "duckdb",
        "The database: duckdb or motherduck, or postgres, ducklake, bigquery, databricks, snowflake or redshift (the "
        "last three are experimental), which require the extra of that name.",
        example="postgres",
        more="See [Warehouses](warehouses.md).",
    )
    postgres_credentials: OwnSecret | None = setting(
        None,
        "Address of the PostgreSQL database. dlt reads it, and finds it in its own configuration too.",
        variable="DESTINATION__POSTGRES__CREDENTIALS",
        example="postgresql://user:password@host:5432/database",
    )
    bigquery_credentials: OwnSecret | None = setting(
        None,
        "Key of a service account of BigQuery (JSON). dlt reads it, and finds it in its own configuration too.",
        variable="DESTINATION__BIGQUERY__CREDENTIALS",
    )
    # A database file with the name of the dataset would fail.
    duckdb_path: str = setting(
        "refersion.duckdb", "The DuckDB file; other databases ignore it.", example="refersion.duckdb"
    )
    # Thousands of rows with more than 100 KB of text each need more.
    duckdb_memory: Annotated[str, AfterValidator(memory)] = setting(
        "100MB", "Memory limit of DuckDB during a load. Increase it for rows with very long texts."
    )
    journal: JournalAddress | None = setting(
        None,
        "Database of the journal of what is written to Refersion: a SQLite file of this machine, sqlite:///file or "
        "sqlite:////folder/file, or postgresql://user:password@host:5432/database. Required to write to Refersion from "
        "warehouses other than DuckDB and PostgreSQL.",
        shown_default="in the warehouse",
        example="sqlite:////srv/refersion/journal.sqlite",
        more="See [The journal](actions.md#the-journal).",
    )
    lock_timeout_seconds: Count = setting(
        3600, "How long a run waits for another run that writes to the same warehouse, in seconds."
    )
    summaries_engine: Annotated[str, AfterValidator(one_of(*ENGINES))] = setting(
        "warehouse",
        "Where summaries and checks are computed: warehouse, or spark (experimental) for a Spark cluster.",
        more="See [Spark as the engine](warehouses.md#spark-as-the-engine-experimental).",
    )
    spark_remote: Annotated[SecretStr, AfterValidator(check_spark_remote)] | None = setting(
        None, "Address of the cluster's Spark Connect server, sc://host:15002, which may contain a token."
    )
    spark_folder: str | None = setting(
        None, "Folder through which tables go to the cluster and results come back, with the same path on all machines."
    )


class WebhookSettings(SettingsPart):
    """Events that Refersion sends."""

    webhook_inbox: str = setting(
        "refersion_webhooks.sqlite",
        "File in which webhook events wait until Dagster loads them; the receiver and Dagster need the same value.",
        example="refersion_webhooks.sqlite",
    )
    webhook_secret: OwnSecret | None = setting(
        None,
        "Signing secret of webhooks, only for the receiver (Refersion > Account > Settings > Webhooks). To rotate it, "
        "set several, separated by commas.",
        example="",
    )


class ActionSettings(SettingsPart):
    """Writing to Refersion."""

    allow_writes: Annotated[bool, BeforeValidator(parse_switch)] = setting(
        False,
        "Allows the jobs actions_… to write to Refersion. A person launches each one.",
        example="true",
        more="See [Write to Refersion](actions.md).",
    )


class OutputSettings(SettingsPart):
    """Files for people to look at."""

    publish_path: FolderOrBucket = setting(
        "refersion_published",
        "Folder of the published copies, or one in a bucket: s3://bucket/folder, gs://… or az://….",
        more="See [In a bucket](outputs.md#in-a-bucket).",
    )
    report_path: FolderOrBucket = setting(
        "refersion_reports",
        "Folder of the HTML report and the statements, or one in a bucket, as for the published copies.",
        example="refersion_reports",
    )
    assistant_token: OwnSecret | None = setting(
        None,
        "Token that `refersion-dagster mcp --http` asks for, 20 characters or more.",
        shown_default="generated and printed",
        more="See [Assistants](assistant.md).",
    )
    merchant_name: str | None = setting(None, "Your name, printed at the top of each statement.", example="Acme Ltd")
    merchant_address: str | None = setting(
        None,
        "Your address below the name; semicolons separate its lines.",
        example="1 Main Street; Springfield 12345",
    )


class ExtensionSettings(SettingsPart):
    """Your own summaries and checks."""

    summaries_path: str | None = setting(
        None,
        "Folder of your own summaries: SQL files, also in subfolders, which become assets beside the shipped ones.",
        example="sql/summaries",
        more="See [Your own SQL](own-sql.md).",
    )
    checks_path: str | None = setting(
        None,
        "Folder of your own checks: SQL files, also in subfolders, which select rows that must not exist.",
        example="sql/checks",
    )


class ScheduleSettings(SettingsPart):
    """When Dagster reads Refersion."""

    nightly_cron: Cron = setting("0 3 * * *", "Times of the nightly refresh, which uses REFERSION_LOOKBACK_DAYS.")
    hourly_cron: Cron = setting("15 * * * *", "Times of the hourly refresh.")
    hourly_lookback_days: Count = setting(3, "Look-back of the hourly refresh in days.")
    weekly_cron: Cron = setting("0 5 * * 0", "Times of the weekly refresh.")
    weekly_lookback_days: Count = setting(730, "Look-back of the weekly refresh in days.")
    schedule_timezone: TimeZone | None = setting(
        None, "Time zone of these times.", shown_default="the reporting time zone"
    )
    statements_cron: Cron = setting(
        "0 6 1 * *", "When the statements of the previous month are generated, in the reporting time zone."
    )
    activity_seconds: PositiveCount = setting(300, "How often the activity sensor polls Refersion, in seconds.")


class AlertSettings(SettingsPart):
    """What is reported, and where to."""

    alert_urls: OwnSecret | None = setting(None, "Channels for alerts as apprise URLs, separated by spaces.")
    late_hours: PositiveCount = setting(
        30,
        "An alert is sent if conversions were not read for longer than this, in hours, and Dagster shows tables that "
        "were not updated for longer as not fresh.",
    )
    dagster_url: str = setting("http://localhost:3000", "Base URL for links in alerts.")

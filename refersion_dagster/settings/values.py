"""Value types of settings, and their error messages.

Each function takes the text of a setting and returns its value. It raises ValueError with a message that completes a
sentence which begins with the setting's name: "is 'many'; it has to be a whole number."
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from refersion_dagster.errors import ReportedError

WORDS = {"true": True, "false": False}
# Placeholders in examples: pub_…, sec_..., <your token>, your_token.
TEMPLATE = re.compile(r"…|\.{3}|<[^>]*>|\byour[-_ ]|//user:password@host\b", re.IGNORECASE)
# DuckDB's format of sizes, and the smallest size with which it can load data.
SIZE = re.compile(r"(\d+(?:\.\d+)?) *([KMGT]?)(I?)B?", re.IGNORECASE)
LEAST_MEMORY, MOST_MEMORY = 16 * 10**6, 10**18
# Switches off what a URL would name.
OFF = "off"
# Schemes of bucket addresses.
BUCKETS = ("s3", "gs", "az")
# Beginning of the address of a SQLite file, as SQLAlchemy has it; the path follows.
SQLITE = "sqlite:///"
# Allows for different clocks and time zones.
TOLERANCE = timedelta(days=1)


class InvalidSetting(ReportedError, ValueError):
    """A setting is invalid; the message names its variable and the valid values."""


def refuse(value: object, expected: str) -> ValueError:
    """Returns the error for an invalid value."""
    return ValueError(f"is {value!r}; it has to be {expected}.")


def parse_switch(value: str | bool) -> bool:
    """Parses true or false."""
    word = str(value).strip().lower()
    if word not in WORDS:
        raise refuse(value, "true or false")
    return WORDS[word]


def whole_number(least: int = 0, most: int | None = None, of: str = "") -> Callable[[str | int], int]:
    """Returns a parser of whole numbers within bounds, which accepts what Dagster accepts.

    Args:
        of: what is counted, for the error message.
    """
    counted = f"a whole number{f' of {of}' if of else ''}"

    def read(value: str | int) -> int:
        try:
            number = int(value)
        except ValueError:
            raise refuse(value, counted if most is None else f"{counted}, from {least} to {most}") from None
        if most is not None and not least <= number <= most:
            raise refuse(value, f"{counted}, from {least} to {most}")
        if number < least:
            raise refuse(value, f"{least} or more")
        return number

    return read


def one_of(
    *words: str, others: Sequence[str] = (), instead: Mapping[str, str] = MappingProxyType({})
) -> Callable[[str], str]:
    """Returns a case-insensitive parser of one of several words.

    Args:
        others: further words that are accepted but not named in the error message.
        instead: what to do, by words that people try but that are not accepted.
    """

    def read(value: str) -> str:
        word = value.strip().lower()
        if word not in (*words, *others):
            refused = refuse(value, f"{', '.join(words[:-1])} or {words[-1]}")
            raise ValueError(f"{refused} {instead[word]}") if word in instead else refused
        return word

    return read


def time_zone(value: str) -> str:
    """Parses the name of an IANA time zone."""
    try:
        return ZoneInfo(value.strip()).key
    except (ValueError, OSError, KeyError):
        raise refuse(value, "an IANA time zone such as UTC or America/New_York") from None


def cron(value: str) -> str:
    """Validates the cron expression of a schedule."""
    from croniter import croniter

    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise refuse(value, "a cron expression (minute, hour, day, month, weekday) such as '0 3 * * *'")
    return value


def parse_moment(value: str | date | datetime) -> datetime:
    """Parses a date (its first second) or time; UTC if it has no zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{value!r} is not a date (2024-01-31) or time (2024-01-31T08:00:00Z)") from None
    elif not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001
    zoned = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return zoned.astimezone(UTC).replace(microsecond=0)


def past_date(value: str) -> str:
    """Validates a date or time that is not in the future.

    It uses this machine's clock, because Refersion's is known only after a request. A sandbox's clock may be ahead, but
    the account's beginning is in the past on both clocks.
    """
    try:
        moment = parse_moment(value)
    except ValueError:
        raise refuse(value, "a date (2024-01-31) or time (2024-01-31T08:00:00Z)") from None
    if moment > datetime.now(UTC) + TOLERANCE:
        raise ValueError(f"is {value!r}, which is in the future.")
    return value


def url(value: str) -> str:
    """Validates a server's URL. The error does not repeat it, because it may contain a password."""
    try:
        address = urlsplit(value)
        if address.scheme in ("http", "https") and address.hostname:
            return value
    except ValueError:
        pass
    raise ValueError("is not a valid URL; it has to begin with https:// and contain a host.")


def url_or_off(value: str) -> str:
    """Validates a server's URL, or the word off."""
    return OFF if value.strip().lower() == OFF else url(value)


def folder_or_bucket(value: str) -> str:
    """Validates a local folder or the address of a folder in a bucket."""
    scheme, is_address, rest = value.partition("://")
    if not is_address:
        return value
    if ":" in rest.partition("@")[0] and "@" in rest:
        raise ValueError("holds a password; set the credentials of a bucket by themselves.")
    if scheme in BUCKETS and rest.partition("/")[0]:
        return value.rstrip("/")
    raise refuse(value, "a folder, or an address that begins with s3://, gs:// or az:// and names a bucket")


def journal_address(value: SecretStr) -> SecretStr:
    """Validates the address of a journal. The error does not repeat it, because it may contain a password."""
    text = value.get_secret_value()
    if text.startswith(SQLITE) and text.removeprefix(SQLITE).strip("/ "):
        return value
    if text.partition("://")[0].partition("+")[0] in ("postgres", "postgresql"):
        return value
    raise ValueError(
        f"is not a valid address; it has to be {SQLITE} and the path of a file, or "
        "postgresql://user:password@host:5432/database."
    )


def memory(value: str) -> str:
    """Validates an amount of memory in DuckDB's format."""
    text = value.strip()
    match = SIZE.fullmatch(text)
    if match and (match[2] or match[0].upper().endswith("B")):
        size = Decimal(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2].upper() or " ")
        if LEAST_MEMORY <= size < MOST_MEMORY:
            return value
    raise refuse(value, "a size of at least 16MB, such as 1GB")


def is_template(value: str) -> bool:
    """Whether a secret is a placeholder from an example."""
    return bool(TEMPLATE.search(value))


def describe_templates(names: Sequence[str]) -> str:
    """Returns the error message for settings that are placeholders from an example."""
    what, it = ("is a placeholder", "it") if len(names) == 1 else ("are placeholders", "each")
    return f"{' and '.join(names)} {what} from an example: replace {it} with your own."


def check_secret(value: SecretStr) -> SecretStr:
    """Validates that a secret is not a placeholder from an example."""
    if is_template(value.get_secret_value()):
        raise ValueError("is a placeholder from an example: replace it with your own.")
    return value


def check_spark_remote(value: SecretStr) -> SecretStr:
    """Validates the address of a Spark Connect server. The error does not repeat it, because it may contain a token."""
    address = value.get_secret_value()
    if not address.startswith("sc://") or not address.removeprefix("sc://").partition("/")[0]:
        raise ValueError("is not an address of Spark Connect; it has to begin with sc:// and contain a host.")
    return check_secret(value)

"""Kinds of values: what a setting may be, and how it is said of one that is something else.

Each function here takes the text of a setting and returns its value. It raises ValueError with the rest of a sentence
that begins with the setting's name: "is 'many'; it has to be a whole number."
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
# How examples write what everybody has to fill in: pub_…, sec_..., <your token>, your_token.
TEMPLATE = re.compile(r"…|\.{3}|<[^>]*>|\byour[-_ ]|//user:password@host\b", re.IGNORECASE)
# As DuckDB writes sizes, and the least with which it loads anything.
SIZE = re.compile(r"(\d+(?:\.\d+)?) *([KMGT]?)(I?)B?", re.IGNORECASE)
LEAST_MEMORY, MOST_MEMORY = 16 * 10**6, 10**18
# What addresses of buckets begin with.
BUCKETS = ("s3", "gs", "az")
# Clocks differ, and days begin at different times.
TOLERANCE = timedelta(days=1)


class InvalidSetting(ReportedError, ValueError):
    """A setting that cannot be read; names its variable and what it may be."""


def refuse(value: object, expected: str) -> ValueError:
    """The error for a value that has to be something else."""
    return ValueError(f"is {value!r}; it has to be {expected}.")


def switch(value: str | bool) -> bool:
    """On or off."""
    word = str(value).strip().lower()
    if word not in WORDS:
        raise refuse(value, "true or false")
    return WORDS[word]


def whole_number(least: int = 0, most: int | None = None, of: str = "") -> Callable[[str | int], int]:
    """Reads a whole number within bounds, as Dagster reads one.

    Args:
        of: what is counted, for the error.
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
    """Reads one of some words, in capitals or not.

    Args:
        others: further words that are accepted, and not named.
        instead: what to do, by words that are not accepted and that people try.
    """

    def read(value: str) -> str:
        word = value.strip().lower()
        if word not in (*words, *others):
            refused = refuse(value, f"{', '.join(words[:-1])} or {words[-1]}")
            raise ValueError(f"{refused} {instead[word]}") if word in instead else refused
        return word

    return read


def time_zone(value: str) -> str:
    """The name of an IANA time zone."""
    try:
        return ZoneInfo(value.strip()).key
    except (ValueError, OSError, KeyError):
        raise refuse(value, "an IANA time zone such as UTC or America/New_York") from None


def cron(value: str) -> str:
    """The times of a schedule."""
    from croniter import croniter

    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise refuse(value, "a cron expression (minute, hour, day, month, weekday) such as '0 3 * * *'")
    return value


def parse_moment(value: str | date | datetime) -> datetime:
    """A date (its first second) or time, UTC where it names no zone."""
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
    """The text of a date or time that is not in the future.

    By this machine's clock, as Refersion's is known only after a request. A sandbox's clock may be ahead; the account's
    beginning is in the past of both.
    """
    try:
        moment = parse_moment(value)
    except ValueError:
        raise refuse(value, "a date (2024-01-31) or time (2024-01-31T08:00:00Z)") from None
    if moment > datetime.now(UTC) + TOLERANCE:
        raise ValueError(f"is {value!r}, which is in the future.")
    return value


def url(value: str) -> str:
    """The address of a server. It may hold a password, so it is not repeated."""
    try:
        address = urlsplit(value)
        if address.scheme in ("http", "https") and address.hostname:
            return value
    except ValueError:
        pass
    raise ValueError("is not a valid URL; it has to begin with https:// and contain a host.")


def folder_or_bucket(value: str) -> str:
    """A folder of this machine, or the address of one in a bucket."""
    scheme, is_address, rest = value.partition("://")
    if not is_address:
        return value
    if ":" in rest.partition("@")[0] and "@" in rest:
        raise ValueError("holds a password; set the credentials of a bucket by themselves.")
    if scheme in BUCKETS and rest.partition("/")[0]:
        return value.rstrip("/")
    raise refuse(value, "a folder, or an address that begins with s3://, gs:// or az:// and names a bucket")


def memory(value: str) -> str:
    """An amount of memory, as DuckDB reads one."""
    text = value.strip()
    match = SIZE.fullmatch(text)
    if match and (match[2] or match[0].upper().endswith("B")):
        size = Decimal(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2].upper() or " ")
        if LEAST_MEMORY <= size < MOST_MEMORY:
            return value
    raise refuse(value, "a size of at least 16MB, such as 1GB")


def is_template(value: str) -> bool:
    """Whether a secret is what an example has in its place."""
    return bool(TEMPLATE.search(value))


def describe_templates(names: Sequence[str]) -> str:
    """That these settings were copied from an example, in a sentence."""
    what, it = ("is a placeholder", "it") if len(names) == 1 else ("are placeholders", "each")
    return f"{' and '.join(names)} {what} from an example: replace {it} with your own."


def own_secret(value: SecretStr) -> SecretStr:
    """A secret, and not what an example has in its place."""
    if is_template(value.get_secret_value()):
        raise ValueError("is a placeholder from an example: replace it with your own.")
    return value

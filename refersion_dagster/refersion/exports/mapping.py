"""Which column of an export is which: declared in exports.yaml, otherwise guessed by the names in the header.

Refersion does not publish the names of its exports' columns, so each guess says how sure it is, and exports.yaml
overrides it. The file lies in the folder of the exports:

    timezone: America/New_York      # of times in the files and in their names
    currency: USD                   # if no column has it
    decimal: ","                    # if amounts look like 1.234,56
    time_format: "%m/%d/%Y %H:%M"   # if times do not look like 2026-07-01 09:30:00
    columns:
      conversions: {id: Conversion No., total: Basket}
    values:
      conversions: {status: {Genehmigt: APPROVED}}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from refersion_dagster.refersion.errors import UnusableExport
from refersion_dagster.refersion.exports.csv_text import SEPARATORS
from refersion_dagster.refersion.exports.folder import AFFILIATES, CONVERSIONS, PERFORMANCE
from refersion_dagster.refersion.tables import catalog
from refersion_dagster.refersion.tables.catalog import Column, FieldSource, Kind
from refersion_dagster.settings.values import time_zone

FILE = "exports.yaml"


class Confidence(StrEnum):
    """How sure it is that a column of an export is the one it is taken for."""

    DECLARED = "declared in exports.yaml"
    SURE = "sure: it has the name of the field"
    LIKELY = "likely: other programs use this name for the field"


# Names, in lower case and without punctuation, that other programs and reports use for a field.
LIKELY: Mapping[str, Mapping[str, Sequence[str]]] = {
    CONVERSIONS: {
        "id": ("id",),
        "status": ("conversion status",),
        "payment_status": ("paid status", "payout status"),
        "type": ("conversion type",),
        "order_id": ("order", "order number", "order no"),
        "total": ("order total", "order amount", "sale total", "sale amount"),
        "commission_total": ("commission", "commission amount", "total commission"),
        "currency": ("currency code",),
        "created": ("created at", "created on", "date", "date created", "created date", "conversion date"),
        "updated": ("updated at", "last updated", "date updated"),
        "affiliate__name": ("affiliate",),
        "offer__name": ("offer",),
        "payment__created": ("payment date", "paid at", "paid on", "date paid"),
        "coupon_code": ("coupon",),
        "is_recurring": ("recurring",),
        "is_test_conversion": ("test", "is test", "test conversion"),
        "total_items": ("items", "number of items"),
        "customer__browser_ip": ("customer ip", "ip address", "ip"),
    },
    AFFILIATES: {
        "id": ("id",),
        "affiliate_code": ("code", "referral code"),
        "email": ("e mail", "email address"),
        "name": ("full name", "affiliate"),
        "paypal_email": ("paypal", "paypal email address"),
        "company_name": ("company",),
    },
    PERFORMANCE: {
        "affiliate_id": ("id",),
        "clicks": ("total clicks", "number of clicks"),
        "conversions": ("total conversions", "number of conversions", "approved conversions"),
        "total": ("revenue", "total revenue", "order total", "sale amount"),
        "commission_total": ("commission", "commission amount", "total commission"),
        "currency": ("currency code",),
    },
}
# The columns of each kind of export. Affiliates fill two raw tables.
FIELDS: Mapping[str, Mapping[str, Column]] = {
    CONVERSIONS: {c.name: c for c in catalog.CONVERSIONS.columns if c.evidence is not FieldSource.OURS},
    AFFILIATES: {
        c.name: c
        for entity in (catalog.AFFILIATE_GET, catalog.AFFILIATES)
        for c in entity.columns
        if (c.evidence is not FieldSource.OURS or c.name == "affiliate_code") and c.kind is not Kind.CUSTOM_FIELDS
    },
    PERFORMANCE: {
        c.name: c
        for c in (
            Column("affiliate_id", Kind.ID, "Numeric id of the affiliate."),
            Column("clicks", Kind.INTEGER, "Clicks on the affiliate's links."),
            Column("conversions", Kind.INTEGER, "Approved conversions."),
            Column("total", Kind.MONEY, "Order value of the approved conversions."),
            Column("commission_total", Kind.MONEY, "Commission of the approved conversions."),
            Column("currency", Kind.TEXT, "Currency of both amounts."),
        )
    },
}
# Without these columns an export cannot be loaded.
NEEDED: Mapping[str, Sequence[str]] = {
    CONVERSIONS: ("id", "status", "total", "commission_total", "created"),
    AFFILIATES: ("id",),
    PERFORMANCE: ("affiliate_id", "total", "commission_total"),
}
# A time whose column says that it is in UTC.
IN_UTC = re.compile(r"[\[(]\s*(utc|gmt)\s*[\])]|\butc\s*$", re.IGNORECASE)


def _check_format(value: str) -> str:
    try:
        datetime(2026, 1, 31, 13, 5, 9).strftime(value)  # noqa: DTZ001
    except ValueError:
        raise ValueError(f"{value!r} is not a format of times such as %m/%d/%Y %H:%M") from None
    if not all(part in value for part in ("%d", "%m")) and "%b" not in value:
        raise ValueError(f"{value!r} is not a format of times such as %m/%d/%Y %H:%M")
    return value


class ExportSettings(BaseModel):
    """The settings of a folder of exports, from exports.yaml.

    Args:
        timezone: time zone of times in the files that do not name one, and of the dates and times in their names.
        currency: currency of every amount, for exports without such a column.
        decimal: decimal separator of amounts.
        time_format: format of times (as of Python's strptime); None for 2026-07-01 09:30:00.
        encoding, separator: of every file; None to find out.
        ends_without_newline: files end without a line break.
        columns: the header's name of each field, by kind of export.
        values: values as exported, with what they mean, by kind of export and field.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: Annotated[str, AfterValidator(time_zone)] | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    decimal: Literal[".", ","] | None = None
    time_format: Annotated[str, AfterValidator(_check_format)] | None = None
    encoding: str | None = None
    separator: str | None = None
    ends_without_newline: bool = False
    columns: dict[str, dict[str, str]] = Field(default_factory=dict)
    values: dict[str, dict[str, dict[str, str]]] = Field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of names: the declared one, otherwise UTC."""
        return ZoneInfo(self.timezone or "UTC")


def read_settings(folder: Path) -> ExportSettings:
    """Returns the settings in the folder's exports.yaml, or defaults without such a file. Raises UnusableExport."""
    path = folder / FILE
    try:
        held = yaml.safe_load(path.read_text("utf-8")) or {}
        settings = ExportSettings.model_validate(held)
    except FileNotFoundError:
        return ExportSettings()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnusableExport(f"{path} cannot be read: {error}", advice="It has to be YAML in UTF-8.") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False))
        raise UnusableExport(f"{path} is not valid: {wrong}.") from None
    if settings.separator is not None and settings.separator not in SEPARATORS:
        raise UnusableExport(f"{path} is not valid: separator has to be one of {', '.join(map(repr, SEPARATORS))}.")
    for declared in (settings.columns, settings.values):
        for kind, fields in declared.items():
            if kind not in FIELDS:
                raise UnusableExport(f"{path} names exports of {kind}; there are {', '.join(FIELDS)}.")
            if unknown := sorted(fields.keys() - FIELDS[kind].keys()):
                raise UnusableExport(
                    f"{path} names {', '.join(unknown)}, which is no field of {kind}.",
                    advice=f"Fields are {', '.join(sorted(FIELDS[kind]))}.",
                )
    return settings


@dataclass(frozen=True)
class ColumnMatch:
    """A field, the column of the export that has it, and how sure that is."""

    field: Column
    header: str
    place: int
    confidence: Confidence

    @property
    def is_in_utc(self) -> bool:
        """Whether the column's name says that its times are in UTC."""
        return bool(IN_UTC.search(self.header))


def match_columns(kind: str, header: Sequence[str], settings: ExportSettings, name: str) -> dict[str, ColumnMatch]:
    """Returns the column of each field.

    Args:
        name: the file's name, for errors.

    Raises UnusableExport if a needed column is missing, or if it is not clear which one is meant.
    """
    declared = settings.columns.get(kind, {})
    found: dict[str, ColumnMatch] = {}
    for field, title in declared.items():
        if title not in header:
            raise UnusableExport(
                f"{name} has no column {title!r}, which {FILE} names for {field}.",
                advice=f"Its columns are {', '.join(header)}.",
            )
        found[field] = ColumnMatch(FIELDS[kind][field], title, header.index(title), Confidence.DECLARED)
    taken = {match.header for match in found.values()}
    for confidence in (Confidence.SURE, Confidence.LIKELY):
        for field, column in FIELDS[kind].items():
            if field in found:
                continue
            names = _sure_names(kind, field) if confidence is Confidence.SURE else LIKELY[kind].get(field, ())
            # Of a needed field, a likely name beside a sure one is a doubt too.
            doubted = (*names, *LIKELY[kind].get(field, ())) if field in NEEDED[kind] else names
            titles = [title for title in header if title not in taken and _plain(title) in names]
            if titles:
                titles = [title for title in header if title not in taken and _plain(title) in doubted]
            if len(titles) > 1:
                raise UnusableExport(
                    f"{name} has several columns that may be {field}: {', '.join(map(repr, titles))}.",
                    advice=f"Name the right one in {FILE}: columns: {{{kind}: {{{field}: …}}}}.",
                )
            if titles:
                found[field] = ColumnMatch(column, titles[0], header.index(titles[0]), confidence)
                taken.add(titles[0])
    lacking = [field for field in NEEDED[kind] if field not in found]
    if kind != AFFILIATES and settings.currency is None and "currency" not in found:
        lacking.append("currency")
    if lacking:
        raise UnusableExport(
            f"{name} has no column that is known as {', '.join(lacking)}. Its columns are {', '.join(header)}.",
            advice=f"Name the columns in {FILE}: columns: {{{kind}: {{{lacking[0]}: …}}}}."
            + (" Or declare the currency of all amounts there: currency: USD." if "currency" in lacking else ""),
        )
    return found


def _sure_names(kind: str, field: str) -> Sequence[str]:
    """The names that say what a field is: its own, alone or after the thing that the export lists."""
    plain, thing = " ".join(field.replace("_", " ").split()), kind.removesuffix("s")
    if field == "id":
        return (f"{thing} id",)
    return (plain,) if plain.startswith(thing) else (plain, f"{thing} {plain}")


def _plain(title: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9]+", " ", IN_UTC.sub(" ", title).casefold()).split())

"""Converts the text of a cell to a value that coerce.py accepts. Nothing is guessed; doubt is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from refersion_dagster.refersion.exports.mapping import ExportSettings
from refersion_dagster.refersion.tables.catalog import CONVERSION_STATUSES, PAYMENT_STATUSES, Kind

WORDS: Mapping[str, tuple[str, ...]] = {
    "status": CONVERSION_STATUSES,
    "payment_status": PAYMENT_STATUSES,
}
SYMBOLS: Mapping[str, frozenset[str]] = {
    "€": frozenset({"EUR"}),
    "£": frozenset({"GBP"}),
    "$": frozenset({"USD", "CAD", "AUD", "NZD", "SGD", "HKD", "MXN"}),
}
POINT = re.compile(r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d{1,4})?", re.ASCII)
COMMA = re.compile(r"-?(\d+|\d{1,3}(\.\d{3})+)(,\d{1,4})?", re.ASCII)
# With a comma and no point, it may be either separator.
DOUBTFUL = re.compile(r"-?\d{1,3}(,\d{3})+", re.ASCII)
TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?))? ?(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII)
SWITCHES = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False, "y": True, "n": False}
# Longest shape of a value in a message.
LONGEST = 24


class UnreadableCell(ValueError):
    """A cell cannot be read. The message says what is expected instead."""


@dataclass(frozen=True)
class CellReader:
    """Reads the cells of one file.

    Args:
        settings: of the folder.
        separates_by_comma: whether the file's separator is a comma. In other files, a comma in an amount may be the
        decimal one.
    """

    settings: ExportSettings
    separates_by_comma: bool

    def read_money(self, text: str, currency: str | None) -> str:
        """An amount as plain digits with a decimal point."""
        for symbol, currencies in SYMBOLS.items():
            if symbol in text:
                if currency not in currencies:
                    raise UnreadableCell(f"an amount in {currency}")
                text = text.replace(symbol, "", 1).strip()
        text = re.sub(r"^- +", "-", text)
        decimal = self.settings.decimal
        if decimal is None and not self.separates_by_comma and DOUBTFUL.fullmatch(text):
            raise UnreadableCell("certain: say in exports.yaml what its comma is (decimal: ',' or decimal: '.')")
        pattern, thousands = (COMMA, ".") if decimal == "," else (POINT, ",")
        if not pattern.fullmatch(text):
            other = COMMA if pattern is POINT else POINT
            hint = f"; decimal: '{',' if pattern is POINT else '.'}' in exports.yaml declares the other notation"
            raise UnreadableCell(
                f"an amount such as {'1,234.56' if pattern is POINT else '1.234,56'}"
                + (hint if other.fullmatch(text) else "")
            )
        return text.replace(thousands, "").replace(",", ".")

    def read_time(self, text: str, is_in_utc: bool) -> str:
        """A time in UTC, as ISO 8601."""
        if self.settings.time_format:
            try:
                moment = datetime.strptime(text, self.settings.time_format)  # noqa: DTZ007
            except ValueError:
                raise UnreadableCell(f"a time in the format {self.settings.time_format}") from None
        else:
            said = TIME.fullmatch(text)
            if said is None:
                raise UnreadableCell("a time such as 2026-07-01 09:30:00; other formats: time_format in exports.yaml")
            day, clock, offset = said.groups()
            offset = "+00:00" if offset in ("Z", "UTC") else offset or ""
            try:
                moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset}")
            except ValueError:
                raise UnreadableCell("a possible date and time") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone(is_in_utc))
            if moment.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) != moment.replace(tzinfo=None):
                raise UnreadableCell(f"a time that exists in {self.settings.timezone}, where clocks are put forward")
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}Z"

    def _zone(self, is_in_utc: bool) -> ZoneInfo:
        if is_in_utc:
            return ZoneInfo("UTC")
        if self.settings.timezone is None:
            raise UnreadableCell("in a known time zone: name it in exports.yaml (timezone: America/New_York)")
        return ZoneInfo(self.settings.timezone)

    def read(self, kind: str, field: str, of: Kind, text: str, *, is_in_utc: bool, currency: str | None) -> Any:
        """Returns the value of a cell; None if it is empty. Raises UnreadableCell."""
        text = text.strip()
        said = self.settings.values.get(kind, {}).get(field, {})
        text = said.get(text, text)
        if not text:
            return None
        match of:
            case Kind.MONEY:
                return self.read_money(text, currency)
            case Kind.TIMESTAMP:
                return self.read_time(text, is_in_utc)
            case Kind.BOOLEAN:
                if text.lower() not in SWITCHES:
                    raise UnreadableCell("yes or no")
                return SWITCHES[text.lower()]
            case Kind.INTEGER:
                if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
                    raise UnreadableCell("a whole number")
                return int(text)
        if kind == "conversions" and field in WORDS:
            word = text.upper()
            if word not in WORDS[field]:
                raise UnreadableCell(
                    f"{', '.join(WORDS[field])}; exports.yaml can say what it means: "
                    f"values: {{conversions: {{{field}: {{…: {WORDS[field][0]}}}}}}}"
                )
            return word
        if field == "currency" and not re.fullmatch("[A-Z]{3}", text):
            raise UnreadableCell("a currency such as USD")
        if field == "type":
            return text.upper().replace(" ", "_")
        return text


def describe_shape(text: str) -> str:
    """The shape of a value, with a for letters and 9 for digits, because the value itself may be personal."""
    shape = re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "a", text.strip()))
    return repr(shape if len(shape) <= LONGEST else f"{shape[: LONGEST - 1]}…")

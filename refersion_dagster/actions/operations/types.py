"""Value types of the write operations, parsed strictly from text (CSV), numbers (Parquet) or both."""

from __future__ import annotations

import math
import re
from decimal import Decimal, InvalidOperation
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

WHOLE_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
# No thousands separators: 1,234 may be one thousand or 1.234, depending on the locale.
AMOUNT = re.compile(r"[+-]?\d{1,9}(\.\d+)?", re.ASCII)
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
UNSENDABLE = re.compile("[\x00\ud800-\udfff]")


def _restore_whole_number(value: Any) -> Any:
    """Returns a whole number as int and other values unchanged. pandas turns ids into floats if one is missing."""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def _whole_number(value: Any) -> int:
    value = _restore_whole_number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not WHOLE_NUMBER.fullmatch(value.strip()) or not int(value):
        raise ValueError("has to be a whole number above 0")
    return int(value)


def read_amount(value: Any) -> Decimal:
    """Parses an exact amount. A float is converted through its shortest decimal form, which is how it was written."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = f"{value:f}" if isinstance(value, Decimal) else repr(value)
    if not isinstance(value, str) or not AMOUNT.fullmatch(value.strip()):
        raise ValueError("has to be an amount such as 12.50, without currency symbol or thousands separators")
    try:
        amount = Decimal(value.strip())
    except InvalidOperation:
        raise ValueError("has to be an amount such as 12.50") from None
    if amount != amount.quantize(Decimal("0.01")):
        raise ValueError("has more than two decimal places")
    return amount


def _refuse_zero(amount: Decimal) -> Decimal:
    if not amount:
        raise ValueError("must not be 0")
    return amount


def _refuse_negative(amount: Decimal) -> Decimal:
    if amount < 0:
        raise ValueError("must not be negative")
    return amount


def _as_text(value: Any) -> Any:
    """Accepts numbers from a Parquet file as text: order 1001, postcode 10115."""
    value = _restore_whole_number(value)
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def _sendable(value: str) -> str:
    if UNSENDABLE.search(value):
        raise ValueError("contains a character that cannot be sent")
    return value


def _convert_to_upper_case(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _email(value: str) -> str:
    if not EMAIL.fullmatch(value):
        raise ValueError("has to be an e-mail address")
    return value


def _letters(count: int, what: str) -> Any:
    def check(value: str) -> str:
        if not re.fullmatch(f"[A-Z]{{{count}}}", value):
            raise ValueError(f"has to be {what}")
        return value

    return check


def _alphanumeric(value: str) -> str:
    if not (value.isascii() and value.isalnum()):
        raise ValueError("may contain only letters and digits")
    return value


def _parse_yes_or_no(value: Any) -> bool:
    if isinstance(value, str) and value.strip().upper() in ("TRUE", "FALSE"):
        return value.strip().upper() == "TRUE"
    if not isinstance(value, bool):
        raise ValueError("has to be TRUE or FALSE")
    return value


def read_password(value: Any) -> SecretStr:
    """Checks the documented rules, except the one about the e-mail, which is another field."""
    if not isinstance(value, str):
        raise ValueError("has to be text")
    rules = (
        (9 <= len(value) <= 72, "has to have 9 to 72 characters"),
        (re.search("[A-Z]", value), "needs an upper-case letter"),
        (re.search("[a-z]", value), "needs a lower-case letter"),
        (re.search("[0-9]", value), "needs a digit"),
        (re.search("[^A-Za-z0-9]", value), "needs a special character"),
        (not re.search(r"(.)\1{3}", value, re.DOTALL), "must not repeat a character more than 3 times in a row"),
        (not UNSENDABLE.search(value), "contains a character that cannot be sent"),
    )
    if broken := [text for kept, text in rules if not kept]:
        raise ValueError("; ".join(broken))
    return SecretStr(value)


Id = Annotated[int, BeforeValidator(_whole_number)]
Amount = Annotated[Decimal, BeforeValidator(read_amount)]
Credit = Annotated[Decimal, BeforeValidator(read_amount), AfterValidator(_refuse_zero)]
Rate = Annotated[Decimal, BeforeValidator(read_amount), AfterValidator(_refuse_negative)]
Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1), AfterValidator(_sendable)]
Email = Annotated[str, AfterValidator(_email), AfterValidator(_sendable)]
Country = Annotated[
    str, BeforeValidator(_convert_to_upper_case), AfterValidator(_letters(2, "two letters, such as US"))
]
Currency = Annotated[
    str, BeforeValidator(_convert_to_upper_case), AfterValidator(_letters(3, "three letters, such as USD"))
]
Alphanumeric = Annotated[str, BeforeValidator(_as_text), AfterValidator(_alphanumeric)]
YesOrNo = Annotated[bool, BeforeValidator(_parse_yes_or_no)]
Password = Annotated[SecretStr, BeforeValidator(read_password)]
# A word from a list, case-insensitive.
Upper = BeforeValidator(_convert_to_upper_case)


def plain_type(annotation: Any) -> Any:
    """Returns the plain type of an item's field, without validators and None: int for `Id | None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        (one,) = (kind for kind in get_args(annotation) if kind is not NoneType)
        return plain_type(one)
    return annotation

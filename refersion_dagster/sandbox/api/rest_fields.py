"""Parsing of REST v2 request bodies, and the errors that REST v2 returns."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from refersion_dagster.sandbox.clock import from_sql_time
from refersion_dagster.sandbox.response import SandboxResponse

MOST_ITEMS = 50


class RestError(Exception):
    """An error response of REST v2."""

    def __init__(self, answer: SandboxResponse) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def missing_field(name: str) -> RestError:
    """400 (documented)."""
    return RestError(SandboxResponse.json(400, {"error": f"Missing required field {name}"}))


def invalid_field(name: str) -> RestError:
    """204 with a body (documented): an error that most clients mistake for an empty success."""
    return RestError(SandboxResponse.json(204, {"error": f"Invalid field {name}"}))


def make_unprocessable(*texts: str) -> RestError:
    """422 (documented), for invalid data and for records that do not exist."""
    return RestError(SandboxResponse.json(422, {"errors": list(texts)}))


def make_unknown_offer() -> RestError:
    """404 with a list (documented), returned if /affiliate/edit names an offer that does not exist."""
    return RestError(SandboxResponse.json(404, {"error": ["Offer does not exists on the database."]}))


def make_too_many_items() -> RestError:
    """429 for more than 50 items (documented); must not be retried."""
    return RestError(
        SandboxResponse.json(429, {"error": f"Max number of elements on attribute ({MOST_ITEMS}) reached."})
    )


class Fields:
    """The body of one request. Each reader raises `RestError` for values that the API would refuse.

    A missing required field is a 400; a value of the wrong type or outside its allowed values is an invalid field. That
    null and the empty string count as missing is inferred.
    """

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    def has(self, name: str) -> bool:
        return self.body.get(name) not in (None, "")

    def require(self, *names: str) -> None:
        for name in names:
            if not self.has(name):
                raise missing_field(name)

    def known(self, names: Sequence[str]) -> None:
        """Refuse a field that is not in `names` (only with the switch refuse_unknown_fields)."""
        for name in self.body:
            if name not in names:
                raise invalid_field(name)

    def text(self, name: str, default: str = "") -> str:
        """A string. Numbers are converted to strings."""
        value = self.body.get(name)
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise invalid_field(name)
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        value = self.body.get(name)
        if not isinstance(value, str) or value not in allowed:
            raise invalid_field(name)
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number, given as a number or a string."""
        if not self.has(name) and default is not None:
            return default
        value = whole_number(self.body.get(name))
        if value is None:
            raise invalid_field(name)
        return value

    def money(self, name: str) -> Decimal:
        """An amount to the cent, given as a number or a string."""
        value = self.body.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise invalid_field(name)
        try:
            amount = Decimal(str(value))
            if not amount.is_finite() or abs(amount) >= 10**9:
                raise invalid_field(name)
            return amount.quantize(Decimal("0.01"))
        except InvalidOperation as error:
            raise invalid_field(name) from error

    def flag(self, name: str) -> bool:
        """true, "TRUE", 1 and "1"; false, "FALSE", 0 and "0"."""
        value = self.body.get(name)
        text = str(value).upper() if isinstance(value, bool | int | str) else ""
        if text not in ("TRUE", "FALSE", "1", "0"):
            raise invalid_field(name)
        return text in ("TRUE", "1")

    def moment(self, name: str) -> int:
        """Unix seconds of `YYYY-MM-DD hh:mm:ss` in UTC."""
        try:
            return from_sql_time(self.text(name))
        except ValueError as error:
            raise invalid_field(name) from error

    def texts(self, name: str) -> list[str]:
        value = self.body.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid_field(name)
        return value

    def ids(self, name: str = "ids") -> list[int]:
        """Ids, given as numbers or strings; at most 50. A single value that is not in a list is not accepted."""
        value = self.body.get(name)
        if not isinstance(value, list):
            raise invalid_field(name)
        if not value:
            raise missing_field(name)
        numbers = [whole_number(item) for item in value]
        if None in numbers:
            raise invalid_field(name)
        if len(value) > MOST_ITEMS:
            raise make_too_many_items()
        return [number for number in numbers if number is not None]

    def items(self, name: str) -> list["Fields"]:
        """A list of objects; at most 50."""
        value = self.body.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise invalid_field(name)
        if not value:
            raise missing_field(name)
        if len(value) > MOST_ITEMS:
            raise make_too_many_items()
        return [Fields(item) for item in value]


def whole_number(value: object) -> int | None:
    """`value` as an int if it is one or a string of ASCII digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and value.isascii() and value.strip().removeprefix("-").isdigit() and len(value) < 40:
        return int(value)
    return None

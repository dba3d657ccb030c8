"""Reading the JSON body of a REST v2 request, and the errors that REST v2 answers."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from refersion_dagster.sandbox.clock import from_sql_time
from refersion_dagster.sandbox.response import SandboxResponse

MOST_ITEMS = 50


class RestError(Exception):
    """An error answer of REST v2."""

    def __init__(self, answer: SandboxResponse) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def missing_field(name: str) -> RestError:
    """400 (documented)."""
    return RestError(SandboxResponse.json(400, {"error": f"Missing required field {name}"}))


def invalid_field(name: str) -> RestError:
    """204 with a body (documented): an error that most clients take for an empty success."""
    return RestError(SandboxResponse.json(204, {"error": f"Invalid field {name}"}))


def unprocessable(*texts: str) -> RestError:
    """422 (documented), for data errors and for records that are not there."""
    return RestError(SandboxResponse.json(422, {"errors": list(texts)}))


def unknown_offer() -> RestError:
    """404 with a list (documented) where /affiliate/edit names an offer that does not exist."""
    return RestError(SandboxResponse.json(404, {"error": ["Offer does not exists on the database."]}))


def too_many_items() -> RestError:
    """429 for more than 50 items (documented); not to be retried."""
    return RestError(
        SandboxResponse.json(429, {"error": f"Max number of elements on attribute ({MOST_ITEMS}) reached."})
    )


class Fields:
    """The body of one request. Each reader raises `RestError` for what the API would refuse.

    A missing required field is a 400, one of the wrong type or outside of its list an invalid field. That null and
    the empty text count as missing is inferred.
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
        """Refuse a field that is not among `names` (only with the switch refuse_unknown_fields)."""
        for name in self.body:
            if name not in names:
                raise invalid_field(name)

    def text(self, name: str, default: str = "") -> str:
        """A text; a number is taken as its text."""
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
        """A whole number or its text."""
        if not self.has(name) and default is not None:
            return default
        value = whole_number(self.body.get(name))
        if value is None:
            raise invalid_field(name)
        return value

    def money(self, name: str) -> Decimal:
        """A number or its text, to the cent."""
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
        """Numbers or their texts; 50 at most. A single one outside of a list is not accepted."""
        value = self.body.get(name)
        if not isinstance(value, list):
            raise invalid_field(name)
        if not value:
            raise missing_field(name)
        numbers = [whole_number(item) for item in value]
        if None in numbers:
            raise invalid_field(name)
        if len(value) > MOST_ITEMS:
            raise too_many_items()
        return [number for number in numbers if number is not None]

    def items(self, name: str) -> list["Fields"]:
        """A list of objects; 50 at most."""
        value = self.body.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise invalid_field(name)
        if not value:
            raise missing_field(name)
        if len(value) > MOST_ITEMS:
            raise too_many_items()
        return [Fields(item) for item in value]


def whole_number(value: object) -> int | None:
    """`value` as an int where it is one or the text of one (ASCII digits)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and value.isascii() and value.strip().removeprefix("-").isdigit() and len(value) < 40:
        return int(value)
    return None

"""The response to a request, before it is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class SandboxResponse:
    """Status, bytes and headers."""

    status: int
    body: bytes
    media_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> "SandboxResponse":
        return cls(status, json_bytes(value), headers=headers or {})


def json_bytes(value: Any) -> bytes:
    """JSON with Decimals as exact numbers.

    It also encodes values that tests set, such as huge integers and lone surrogates.
    """
    try:
        return orjson.dumps(value, default=_encode_exactly)
    except TypeError:
        return orjson.dumps(_spell_out(value), default=_encode_exactly)


def _encode_exactly(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _spell_out(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _spell_out(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell_out(item) for item in value]
    if isinstance(value, int | str) and not isinstance(value, bool):
        return orjson.Fragment(json.dumps(value))
    return value

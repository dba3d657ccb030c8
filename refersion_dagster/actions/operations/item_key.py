"""One item that was asked for, and the key by which it is known from then on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from refersion_dagster.actions.operations.requests import Item

# Hexadecimal digits of a derived key, and of what notes carry: 80 and 48 bits.
KEY_DIGITS, REFERENCE_DIGITS = 20, 12


@dataclass(frozen=True)
class PlannedItem:
    """One item.

    Args:
        endpoint: the operation's name.
        item: what is asked.
        key: permanent key of this item: nothing is done twice under one key.
        place: where the item came from, in words ("row 4").
    """

    endpoint: str
    item: Item
    key: str
    place: str

    @property
    def reference(self) -> str:
        """What the notes of a credit carry, so that it is found again in Refersion's own data."""
        return reference(self.endpoint, self.key)

    @property
    def digest(self) -> str:
        """Hash of the content: shows whether a key was used for another item."""
        return _digest(self.endpoint, self.item.content())


def reference(endpoint: str, key: str) -> str:
    """The reference that belongs to a key, such as [ref 3f9a04c1b2d7]."""
    return f"[ref {_digest(endpoint, key)[:REFERENCE_DIGITS]}]"


def derived_key(endpoint: str, item: Item, purpose: str, sequence: int) -> str:
    """The key of an item for which the user gave none.

    Args:
        purpose: the run's name for this piece of work; the same item has another key for another purpose.
        sequence: 1 for the first item of this content, 2 for the second and so on.
    """
    return _digest(endpoint, item.content(), purpose, sequence)[:KEY_DIGITS]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """12.5 and 12.50 are one amount."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    raise TypeError(f"{type(value).__name__} is not supported in an item")

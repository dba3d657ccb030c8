"""One requested item and its permanent key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from refersion_dagster.actions.operations.requests import Item

# Hexadecimal digits of a derived key and of a reference in notes: 80 and 48 bits.
KEY_DIGITS, REFERENCE_DIGITS = 20, 12


@dataclass(frozen=True)
class PlannedItem:
    """One item to send.

    Args:
        endpoint: name of the operation.
        item: the requested values.
        key: permanent key of this item; nothing is done twice under the same key.
        place: origin of the item, such as "row 4".
    """

    endpoint: str
    item: Item
    key: str
    place: str

    @property
    def reference(self) -> str:
        """Reference in the notes of a credit, which identifies it in Refersion's data."""
        return reference(self.endpoint, self.key)

    @property
    def digest(self) -> str:
        """Hash of the content. It detects a key that was used for a different item."""
        return _digest(self.endpoint, self.item.content())


def reference(endpoint: str, key: str) -> str:
    """Returns the reference for a key, such as [ref 3f9a04c1b2d7]."""
    return f"[ref {_digest(endpoint, key)[:REFERENCE_DIGITS]}]"


def derive_key(endpoint: str, item: Item, purpose: str, sequence: int) -> str:
    """Returns the key of an item for which the user set none.

    Args:
        purpose: the run's name for this piece of work; the same item has a different key for each purpose.
        sequence: 1 for the first item with this content, 2 for the second, and so on.
    """
    return _digest(endpoint, item.content(), purpose, sequence)[:KEY_DIGITS]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Encodes a Decimal; 12.5 and 12.50 are the same amount."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    raise TypeError(f"{type(value).__name__} is not supported in an item")

"""The sender of the statements: the merchant's name and address."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Separates the lines of the address in its setting.
BETWEEN_LINES = re.compile(r"[;\n]|\\n")


@dataclass(frozen=True)
class Merchant:
    """The merchant.

    Args:
        name: empty if none is set.
        address: its lines.
    """

    name: str = ""
    address: tuple[str, ...] = ()

    @classmethod
    def from_settings(cls, name: str | None, address: str | None) -> Merchant:
        """Returns the merchant from REFERSION_MERCHANT_NAME and REFERSION_MERCHANT_ADDRESS."""
        lines = (" ".join(line.split()) for line in BETWEEN_LINES.split(address or ""))
        return cls(" ".join((name or "").split()), tuple(filter(None, lines)))

    @property
    def lines(self) -> tuple[str, ...]:
        """The name and the address, as lines."""
        return tuple(filter(None, (self.name, *self.address)))


NOT_NAMED = Merchant()

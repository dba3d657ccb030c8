"""Who makes the statements: the merchant's name and address, as affiliates read them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Between the lines of an address that is one setting.
BETWEEN_LINES = re.compile(r"[;\n]|\\n")


@dataclass(frozen=True)
class Merchant:
    """The merchant.

    Args:
        name: empty where none is set.
        address: its lines.
    """

    name: str = ""
    address: tuple[str, ...] = ()

    @classmethod
    def of_settings(cls, name: str | None, address: str | None) -> Merchant:
        """As REFERSION_MERCHANT_NAME and REFERSION_MERCHANT_ADDRESS give it."""
        lines = (" ".join(line.split()) for line in BETWEEN_LINES.split(address or ""))
        return cls(" ".join((name or "").split()), tuple(filter(None, lines)))

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, the name first."""
        return tuple(filter(None, (self.name, *self.address)))


NOT_NAMED = Merchant()

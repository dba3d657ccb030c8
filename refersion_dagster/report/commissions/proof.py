"""The coverage of the proof in one sentence per currency: by Refersion's totals, by payments, or not proven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_UP, Decimal

TENTH = Decimal("0.1")


@dataclass(frozen=True)
class Coverage:
    """The absolute commission of one currency, and how much of it is proven by what.

    Args:
        not_settled: part of not_proven that changed at every reading.
    """

    currency: str
    commission: Decimal
    by_totals: Decimal
    accepted: Decimal
    by_payments: Decimal
    not_proven: Decimal
    not_settled: Decimal
    oldest_read_at: datetime | None

    def __str__(self) -> str:
        if not self.commission:
            return f"{self.currency[:12]}: no commission to prove"
        parts = [
            f"{self._share(self.by_totals)} of commission proven by Refersion's totals"
            if self.by_totals
            else "not proven by Refersion's totals",
            f"{self._share(self.by_payments)} by payments" if self.by_payments else "",
            f"{self._share(self.accepted)} in accepted differences" if self.accepted else "",
            f"{self._share(self.not_proven, ROUND_UP)} not proven" if self.not_proven else "",
            f"{self._share(self.not_settled, ROUND_UP)} of it not settled yet" if self.not_settled else "",
        ]
        return f"{self.currency[:12]}: {', '.join(filter(None, parts))}"

    def _share(self, amount: Decimal, rounding: str = ROUND_DOWN) -> str:
        """Formats a share, rounded down if proven and up if not, so that the proof never looks better than it is."""
        share = (amount * 100 / self.commission).quantize(TENTH, rounding)
        return f"{share.normalize():f} %" if share == share.to_integral_value() else f"{share} %"

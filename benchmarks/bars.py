"""The requirements for the ingest, and whether they are met."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.contract import PAGE_SIZE

SMALL, LARGE = 100_000, 1_000_000


@dataclass(frozen=True)
class Figures:
    """One contender at one number of rows. seconds: wall time; peak_bytes: largest resident set."""

    seconds: float
    peak_bytes: int


Measured = Mapping[tuple[str, int], Figures]
"""Figures by contender and number of rows."""


@dataclass(frozen=True)
class Bar:
    """One requirement. value is None if this run did not measure it."""

    label: str
    value: float | None
    sign: Literal["<=", ">=", "<"]
    limit: float
    unit: str = "x"

    @property
    def verdict(self) -> Literal["pass", "fail", "not measured"]:
        if self.value is None:
            return "not measured"
        met = {"<=": self.value <= self.limit, ">=": self.value >= self.limit, "<": self.value < self.limit}[self.sign]
        return "pass" if met else "fail"


def ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def bars(measured: Measured, latency_ms: float, concurrency: int) -> list[Bar]:
    """All requirements. Those for another latency or number of rows are not measured."""

    def seconds(contender: str, rows: int) -> float | None:
        figures = measured.get((contender, rows))
        return None if figures is None else figures.seconds

    def peak(contender: str, rows: int) -> float | None:
        figures = measured.get((contender, rows))
        return None if figures is None else figures.peak_bytes

    demands: list[Bar] = []
    if latency_ms:
        floor = seconds("d", SMALL)
        waiting = SMALL / PAGE_SIZE * latency_ms / 1000 / concurrency
        ideal = None if floor is None else waiting + floor
        demands.append(
            Bar("100,000 rows: (a) / (pages x latency / concurrency + d)", ratio(seconds("a", SMALL), ideal), "<=", 1.3)
        )
        return demands
    per_row = ratio(seconds("a", LARGE), seconds("a", SMALL))
    large_peak = peak("a", LARGE)
    demands += [
        Bar("100,000 rows: (b) / (a)", ratio(seconds("b", SMALL), seconds("a", SMALL)), ">=", 10),
        Bar("100,000 rows: (a) / (d)", ratio(seconds("a", SMALL), seconds("d", SMALL)), "<=", 6),
        Bar("1,000,000 rows: (a) / (d)", ratio(seconds("a", LARGE), seconds("d", LARGE)), "<=", 3),
        Bar("peak memory of (a), 1,000,000 / 100,000 rows", ratio(large_peak, peak("a", SMALL)), "<=", 1.3),
        Bar("peak memory of (a), 1,000,000 rows", None if large_peak is None else large_peak / 1e6, "<", 600, " MB"),
        Bar(
            "time a row of (a), 1,000,000 / 100,000 rows",
            None if per_row is None else per_row * SMALL / LARGE,
            "<=",
            1.2,
        ),
    ]
    demands += [
        Bar(f"{rows:,} rows: second run / first run", ratio(seconds("a2", rows), seconds("a", rows)), "<", 0.25)
        for rows in (SMALL, LARGE)
    ]
    return demands

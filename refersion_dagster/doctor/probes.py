"""Runs many checks in parallel, within a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from refersion_dagster.doctor.findings import DoctorCheck, failed, skipped

REPORT = "Please report this with `refersion-dagster doctor --json` as an issue."


@dataclass
class Probe:
    """A group of checks that runs in its own thread.

    Args:
        names: names of its checks.
        look: yields each check as soon as its result is known.
    """

    names: tuple[str, ...]
    look: Callable[[], Iterator[DoctorCheck]]
    found: dict[str, DoctorCheck] = field(default_factory=dict, init=False)
    problem: Exception | None = field(default=None, init=False)

    def run(self) -> None:
        try:
            for check in self.look():
                self.found[check.name] = check
        except Exception as error:  # noqa: BLE001 - it is shown as a check, and the other probes continue
            self.problem = error


def run_probes(probes: Sequence[Probe], seconds: float) -> list[DoctorCheck]:
    """Runs all probes and returns their checks in order. A probe that takes longer than `seconds` fails."""
    # Daemon threads, so that a connection that hangs does not keep the command running.
    threads = [threading.Thread(target=probe.run, name=f"doctor-{probe.names[0]}", daemon=True) for probe in probes]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [check for probe in probes for check in _checks(probe, seconds)]


def _checks(probe: Probe, seconds: float) -> Iterator[DoctorCheck]:
    found, problem = dict(probe.found), probe.problem
    told = False
    for name in probe.names:
        if name in found:
            yield found[name]
        elif told:
            yield skipped(name, "an earlier check did not finish")
        else:
            told = True
            if problem is None:
                yield failed(
                    name, f"no result within {seconds:.0f} s", "Check whether the network or the disk is slow."
                )
            else:
                yield failed(name, f"the doctor itself failed: {type(problem).__name__}: {problem}", REPORT)

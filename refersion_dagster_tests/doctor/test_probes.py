"""Probes run in parallel and within a time limit."""

import threading
from collections.abc import Iterator

import pytest

from refersion_dagster.doctor.findings import DoctorCheck, Status, passed
from refersion_dagster.doctor.probes import Probe, run_probes

together = threading.Barrier(2)


def test_probes_look_at_the_same_time_and_are_shown_in_order() -> None:
    def look(name: str) -> Iterator[DoctorCheck]:
        together.wait(10)
        yield passed(name, "met the other")

    probes = [Probe((name,), lambda name=name: look(name)) for name in ("first", "second")]
    assert [check.name for check in run_probes(probes, 15)] == ["first", "second"]


def test_what_hangs_has_failed_and_what_it_had_told_before_counts() -> None:
    end, ended = threading.Event(), threading.Event()

    def hangs() -> Iterator[DoctorCheck]:
        yield passed("told", "in time")
        end.wait(60)
        ended.set()

    found = run_probes([Probe(("told", "hung", "after"), hangs)], 0.2)
    assert not ended.is_set(), "it was waited for"
    end.set()
    assert [(check.name, check.status) for check in found] == [
        *(("told", Status.OK), ("hung", Status.FAILED), ("after", Status.SKIPPED)),
    ]
    assert "no result within 0 s" in found[1].message


@pytest.mark.parametrize("error", [ZeroDivisionError("by nought"), OSError(5, "Input/output error")])
def test_a_probe_that_breaks_is_a_cross_and_the_others_go_on(error: Exception) -> None:
    def breaks() -> Iterator[DoctorCheck]:
        raise error
        yield passed("never", "")

    found = run_probes([Probe(("broken",), breaks), Probe(("well",), lambda: iter([passed("well", "as ever")]))], 5)
    assert [check.status for check in found] == [Status.FAILED, Status.OK]
    assert type(error).__name__ in found[0].message
    assert "report" in (found[0].remedy or "")

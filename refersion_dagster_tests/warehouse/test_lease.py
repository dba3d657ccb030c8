"""The right to write as a row: one run at a time, and nobody is locked out for longer than the lease."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.errors import ConcurrentChange, LeaseLost, WarehouseBusy, WarehouseError
from refersion_dagster.warehouse.lease import TABLE, Lease, LeaseTerms, hold_lease, lease_holder
from refersion_dagster_tests.postgres import PostgresDatabase
from refersion_dagster_tests.processes import soon

TERMS = LeaseTerms(seconds=2, extended_every=0.4, looked_at_every=0.05)
LONG = LeaseTerms(seconds=600, extended_every=300, looked_at_every=0.05)
LEASE = f"refersion_data.{TABLE}"

# What processes have in common: the lease of a database without locks, in PostgreSQL if it is not said where.
OTHER = """
import os, sys, time
from refersion_dagster.resources import Warehouse
from refersion_dagster.warehouse.errors import LeaseLost
from refersion_dagster.warehouse.lease import LeaseTerms, hold_lease

warehouse = Warehouse(destination=os.environ.get("REFERSION_DESTINATION", "postgres"))

def held(seconds, extended_every, tell=print):
    return hold_lease(warehouse.session, "the warehouse", 60, tell, LeaseTerms(seconds, extended_every, 0.01))
"""
HOLD = """
with held(2, 0.4):
    print("held", flush=True)
    sys.stdin.readline()
"""
LOSE = """
try:
    with held(2, 0.4) as lease:
        print("held", flush=True)
        sys.stdin.readline()
        lease.check()
        print("went on writing", flush=True)
except LeaseLost as error:
    print(error, flush=True)
"""
# Reads and writes in separate statements, so that one of two concurrent updates would be lost.
COUNT_UP = """
for _ in range(6):
    with held(600, 300, lambda words: None), warehouse.session() as session:
        ((number,),) = session.query("SELECT number FROM made.numbers")
        time.sleep(0.01)
        session.query("UPDATE made.numbers SET number = $number", number=number + 1)
"""
A_DAY_OFF = """
real = time.time
time.time = lambda: real() + {days} * 86_400
time.gmtime = lambda seconds=None, convert=time.gmtime: convert(time.time() if seconds is None else seconds)
"""


@contextmanager
def another(script: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs a script after OTHER."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER + script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def held(warehouse: Warehouse, terms: LeaseTerms = TERMS, timeout: float = 0) -> Lease:
    lease = Lease(warehouse.session, warehouse.location, terms)
    lease.acquire(timeout, lambda _: None)
    return lease


def is_free(warehouse: Warehouse) -> bool:
    with warehouse.session() as session:
        return not lease_holder(session)


@pytest.mark.exhaustive
def test_of_many_at_once_one_has_the_right(warehouse: Warehouse) -> None:
    inside: list[int] = []

    def count_up(number: int) -> None:
        with hold_lease(warehouse.session, "here", 60, lambda _: None, LONG):
            inside.append(number)
            assert inside == [number]
            inside.clear()

    with warehouse.session(), ThreadPoolExecutor(4) as threads:
        list(threads.map(count_up, range(12)))
    assert is_free(warehouse)


def test_who_waits_in_vain_is_told_for_whom_and_writes_nothing(warehouse: Warehouse) -> None:
    with hold_lease(warehouse.session, "here", 0, pytest.fail, LONG):
        with (
            pytest.raises(
                WarehouseBusy, match=rf"Another run \(process {os.getpid()} on .+, since .+ UTC\) still writes to here"
            ),
            hold_lease(warehouse.session, "here", 0, pytest.fail, LONG),
        ):
            pytest.fail("two writers at once")
        assert not is_free(warehouse)
    assert is_free(warehouse)


def test_who_waits_goes_on_when_the_right_is_given_back(warehouse: Warehouse) -> None:
    first = held(warehouse, LONG)
    told: list[str] = []

    def tell(words: str) -> None:
        told.append(words)
        first.give_back()

    with hold_lease(warehouse.session, "here", 60, tell, LONG):
        assert len(told) == 1
        assert "is writing to here; waiting for it, up to 60 s." in told[0]


def test_the_right_is_free_again_after_a_run_that_failed(warehouse: Warehouse) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), hold_lease(warehouse.session, "here", 0, pytest.fail, LONG):
            raise ZeroDivisionError


@pytest.mark.exhaustive
def test_a_holder_that_lives_keeps_it_beyond_its_term(warehouse: Warehouse) -> None:
    def valid_until() -> datetime:
        ((moment,),) = warehouse.query(f"SELECT valid_until FROM {LEASE}")
        return moment

    with warehouse.session(), hold_lease(warehouse.session, "here", 0, pytest.fail, TERMS) as lease:
        taken = warehouse.query(f"SELECT taken_at FROM {LEASE}")[0][0]
        # Without extensions the lease would have ended long ago.
        assert soon(lambda: (valid_until() - taken).total_seconds() > TERMS.seconds * 2, every=0.1)
        lease.check()
        assert not is_free(warehouse)


def test_a_holder_whose_right_was_taken_over_is_told_when_it_checks_and_when_it_ends(warehouse: Warehouse) -> None:
    lease = held(warehouse, LONG)
    warehouse.query(f"UPDATE {LEASE} SET valid_until = taken_at")
    second = held(warehouse, LONG)
    with pytest.raises(LeaseLost, match=r"lost the right to write to .+ another run has taken it") as lost:
        lease.give_back()
    assert lost.value.may_pass
    with pytest.raises(LeaseLost):
        lease.check()
    # The failed release did not affect the run that now has the lease.
    second.check()
    second.give_back()
    assert is_free(warehouse)


def test_its_thread_notices_too(warehouse: Warehouse) -> None:
    lease = held(warehouse)

    def take_away() -> bool:
        try:
            warehouse.query(f"UPDATE {LEASE} SET token = 'of another', valid_until = valid_until + INTERVAL 1 HOUR")
        except ConcurrentChange:  # the thread extended it at the same time
            return False
        return True

    assert soon(take_away)

    def noticed() -> bool:
        try:
            lease.check()
        except LeaseLost:
            return True
        return False

    assert soon(noticed, every=0.05)
    with pytest.raises(LeaseLost):
        lease.give_back()
    assert not is_free(warehouse)


def test_the_runs_own_error_comes_first(warehouse: Warehouse) -> None:
    def fail() -> None:
        with hold_lease(warehouse.session, "here", 0, pytest.fail, LONG):
            warehouse.query(f"UPDATE {LEASE} SET token = 'of another'")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


@pytest.mark.parametrize("change", [f"DELETE FROM {LEASE}", f"INSERT INTO {LEASE} SELECT * FROM {LEASE}"])
def test_a_table_that_cannot_tell_is_an_error(warehouse: Warehouse, change: str) -> None:
    with hold_lease(warehouse.session, "here", 0, pytest.fail, LONG):
        pass
    warehouse.query(change)
    with (
        pytest.raises(WarehouseError, match=r"has [02] rows instead of one.+Drop that table"),
        hold_lease(warehouse.session, "here", 0, pytest.fail, LONG),
    ):
        pytest.fail("no row says that it may write")


@pytest.mark.processes
class TestProcesses:
    @pytest.fixture
    def warehouse(self, postgres: PostgresDatabase) -> Warehouse:
        return Warehouse(destination="postgres")

    def test_processes_that_race_count_up_one_after_the_other(self, warehouse: Warehouse) -> None:
        """The first processes also create the table at the same time."""
        with warehouse.session() as session:
            session.create_schema("made")
            session.query("CREATE TABLE made.numbers AS SELECT 0 AS number")
        with another(COUNT_UP) as first, another(COUNT_UP) as second, another(COUNT_UP) as third:
            assert [process.wait(120) for process in (first, second, third)] == [0, 0, 0]
        assert warehouse.query("SELECT number FROM made.numbers") == [(18,)]
        assert warehouse.query(f"SELECT count(*) FROM {LEASE}") == [(1,)]

    def test_after_a_killed_holder_the_next_run_has_it_within_its_term(self, warehouse: Warehouse) -> None:
        with another(HOLD) as holder:
            assert said(holder) == "held"
            with (
                pytest.raises(WarehouseBusy, match=f"process {holder.pid} on "),
                hold_lease(warehouse.session, "here", 0, pytest.fail, TERMS),
            ):
                pytest.fail("two writers at once")
            holder.send_signal(signal.SIGKILL)
            holder.wait(30)
            ((ends,),) = warehouse.query(f"SELECT valid_until FROM {LEASE}")
            with hold_lease(warehouse.session, "here", 30, lambda _: None, TERMS):
                ((taken_at,),) = warehouse.query(f"SELECT taken_at FROM {LEASE}")
        assert taken_at >= ends

    def test_a_holder_that_stood_still_for_too_long_stops_writing(self, warehouse: Warehouse) -> None:
        with another(LOSE) as holder:
            assert said(holder) == "held"
            holder.send_signal(signal.SIGSTOP)
            with hold_lease(warehouse.session, "here", 30, lambda _: None, LONG):
                holder.send_signal(signal.SIGCONT)
                words, _ = holder.communicate("\n", timeout=30)
                assert "lost the right to write" in words
                assert "went on writing" not in words

    @pytest.mark.parametrize("days", [-1, 1])
    def test_the_clocks_of_machines_do_not_count(self, warehouse: Warehouse, days: int) -> None:
        """A holder whose clock is a day off neither keeps the right for longer nor takes it from another run."""
        with another(A_DAY_OFF.format(days=days) + HOLD) as holder:
            assert said(holder) == "held"
            ((until, now),) = warehouse.query(f"SELECT valid_until, CURRENT_TIMESTAMP AS now FROM {LEASE}")
            assert 0 < (until - now).total_seconds() <= TERMS.seconds
        with (
            hold_lease(warehouse.session, "here", 30, lambda _: None, LONG),
            another(A_DAY_OFF.format(days=days) + HOLD) as waiting,
        ):
            assert said(waiting).startswith("Another run (process ")
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(3)

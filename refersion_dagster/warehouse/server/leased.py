"""A database without locks, where a lease ensures a single writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from refersion_dagster.warehouse.lease import Lease, LeaseTerms, hold_lease
from refersion_dagster.warehouse.server.database import ServerDatabase
from refersion_dagster.warehouse.server.session import ServerSession


class LeasedDatabase(ServerDatabase):
    """A database on a server where runs on any machine queue for a lease.

    A run that has lost its lease writes nothing more: each further session and load checks the lease first.
    """

    terms: ClassVar[LeaseTerms] = LeaseTerms()
    # The leases of this process by location, because a database object is created at each use.
    _held: ClassVar[dict[str, Lease]] = {}

    @contextmanager
    def write_lock(self, timeout: float, tell: Callable[[str], None]) -> Iterator[None]:
        location = self.location
        with hold_lease(super().session, location, timeout, tell, self.terms) as lease:
            self._held[location] = lease
            try:
                yield
            finally:
                del self._held[location]

    @contextmanager
    def session(self, read_only: bool = False) -> Iterator[ServerSession]:
        if not read_only:
            self.check_lease()
        with super().session(read_only) as session:
            yield session

    def check_lease(self) -> None:
        """Raises LeaseLost if this process had the right to write and another run has it now."""
        if lease := self._held.get(self.location):
            lease.check()

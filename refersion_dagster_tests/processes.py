"""Which processes there are, to see that a command leaves none behind."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep


def of_session(session: int) -> list[str]:
    """Commands of the processes of a session; processes that wait to be collected are gone already."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, their_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(their_session) == session and state != "Z":
            found.append(f"{entry.name} {command}")
    return found


def with_variable(name: str, value: str) -> list[str]:
    """Commands of the processes that were started with this environment variable, whatever session they moved to."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
        except OSError:
            continue
    return found


def soon(condition: Callable[[], bool], seconds: float = 10, every: float = 0) -> bool:
    """Whether the condition comes true within this time; `every` so many seconds it is looked at."""
    end = monotonic() + seconds
    while monotonic() < end:
        if condition():
            return True
        sleep(every)
    return condition()

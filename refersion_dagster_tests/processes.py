"""Lists running processes, to check that a command leaves none behind."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep


def of_session(session: int) -> list[str]:
    """Commands of the processes of a session. Zombie processes count as ended."""
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
    """Commands of the processes started with this environment variable, even if they moved to another session."""
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
    """Whether the condition becomes true within `seconds`; it is checked every `every` seconds."""
    end = monotonic() + seconds
    while monotonic() < end:
        if condition():
            return True
        sleep(every)
    return condition()

"""A command on a terminal of a given width: everything that comes to its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from dataclasses import dataclass, field
from time import monotonic

from refersion_dagster_tests.location import COMMANDS, Location

# What moves the cursor, clears or colours, with its number; or a text.
TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n]|[^\x1b\r\n]+)")


@dataclass
class PseudoTerminal:
    """A process and its screen."""

    process: subprocess.Popen[bytes]
    screen: int
    raw: str = field(default="")

    @classmethod
    def start(cls, location: Location, columns: int, *command: str) -> PseudoTerminal:
        screen, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen(
            [str(COMMANDS / command[0]), *command[1:]],
            cwd=location.folder,
            env=location.environment | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return cls(process, screen)

    def read_until(self, words: str | None, seconds: float = 360) -> None:
        """Reads what comes until these words are there, or the process ended."""
        end = monotonic() + seconds
        while monotonic() < end and (words is None or words not in self.raw):
            if not select.select([self.screen], [], [], 0.2)[0]:
                if self.process.poll() is not None:
                    return
                continue
            try:
                read = os.read(self.screen, 65_536)
            except OSError:  # the terminal is closed when its last process ended
                break
            self.raw += read.decode(errors="replace")

    def end(self) -> int:
        """Reads to the end; returns the exit code."""
        self.read_until(None)
        try:
            return self.process.wait(timeout=30)
        finally:
            os.close(self.screen)

    @property
    def lines(self) -> list[str]:
        """What is on the screen in the end, however far it was scrolled."""
        rows, row, column = [""], 0, 0
        for control, code, text in TOKEN.findall(self.raw):
            if text == "\r":
                column = 0
            elif text == "\n":
                row, column = row + 1, 0
                rows += [""] * (row + 1 - len(rows))
            elif text:
                rows[row] = rows[row][:column].ljust(column) + text + rows[row][column + len(text) :]
                column += len(text)
            elif code == "A":
                row = max(0, row - int(control or 1))
            elif code == "K":
                rows[row] = ""
        return [line.rstrip() for line in rows]

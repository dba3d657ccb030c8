"""The doctor's printed output."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from refersion_dagster.doctor.examination import SECTIONS
from refersion_dagster.doctor.findings import DoctorCheck, DoctorReport, Status, failed, passed, skipped, warned
from refersion_dagster.doctor.render import show

TURNED = {
    "rest_keys": failed("rest_keys", "refused: Invalid API credentials (error 2).", "Check REFERSION_SECRET_KEY."),
    "rest_plan": skipped("rest_plan", "keys not accepted"),
    "daemon": warned("daemon", "not running: schedules and sensors do nothing", "Start it."),
}


def findings(*turned: str) -> DoctorReport:
    names = [name for section in SECTIONS.values() for name in section]
    return DoctorReport([TURNED[name] if name in turned else passed(name, f"{name} is well") for name in names])


def shown(what: DoctorReport, encoding: str = "utf-8", width: int | None = None) -> list[str]:
    """Returns the lines on a terminal of this width; without a width, in a pipe."""
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding=encoding)
    terminal = {"force_terminal": True, "width": width, "color_system": None} if width else {"force_terminal": False}
    show(what, Console(file=file, highlight=False, **terminal))  # pyright: ignore[reportArgumentType]
    file.flush()
    return written.getvalue().decode(encoding).splitlines()


def test_each_check_is_one_line_below_its_section() -> None:
    lines = shown(findings())
    ticks = [line for line in lines if line.startswith("  ✓ ")]
    assert len(ticks) == sum(map(len, SECTIONS.values()))
    assert [line for line in lines if line and not line.startswith(" ")] == [*SECTIONS, "A refresh would work."]


def test_a_cross_is_followed_by_what_to_do() -> None:
    lines = shown(findings("rest_keys", "rest_plan"))
    at = next(n for n, line in enumerate(lines) if "✗" in line)
    assert lines[at].split() == ["✗", "keys", *["refused:", "Invalid", "API", "credentials", "(error", "2)."]]
    assert lines[at + 1].strip() == "→ Check REFERSION_SECRET_KEY."
    assert lines[at + 2].split(maxsplit=2)[:2] == ["-", "plan"]
    assert "skipped: keys not accepted" in lines[at + 2]
    assert lines[-1] == "A refresh would not work: 1 check failed."


def test_what_was_not_looked_at_for_one_reason_is_one_line() -> None:
    names = SECTIONS["GraphQL"]
    without = DoctorReport(
        [skipped(check.name, "no token set") if check.name in names else check for check in findings().checks]
    )
    (line,) = [line for line in shown(without) if "no token set" in line]
    assert line.split(maxsplit=1)[0] == "-"
    assert "skipped: connection, token, introspection, fields affiliates," in line
    assert line.endswith("pages (no token set)")


def test_warnings_do_not_keep_a_refresh_from_working() -> None:
    assert shown(findings("daemon"))[-1] == "A refresh would work; 1 warning."
    assert shown(findings("daemon", "rest_keys"))[-1] == ("A refresh would not work: 1 check failed. 1 warning.")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_is_not_overrun(width: int) -> None:
    long = DoctorCheck("settings", Status.FAILED, "word " * 60, "advice " * 40)
    lines = shown(DoctorReport([long, *findings().checks[1:]]), width=width)
    assert max(map(len, lines)) <= max(width, 66)
    assert sum("word" in line for line in lines) > 1 or width > 300


def test_in_a_pipe_a_check_is_one_line_however_long() -> None:
    long = DoctorCheck("settings", Status.FAILED, "word " * 60, "advice " * 40)
    lines = shown(DoctorReport([long, *findings().checks[1:]]))
    assert [line.count("word") for line in lines if "word" in line] == [60]


def test_a_terminal_without_such_signs_gets_plain_ones() -> None:
    lines = shown(findings("rest_keys", "daemon"), encoding="ascii")
    assert lines[1].startswith("  ok settings")
    assert any(line.startswith("  x  keys") for line in lines)
    assert any(line.strip() == "-> Start it." for line in lines)

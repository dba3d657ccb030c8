"""Prints the findings: one line each with a tick or a cross, and the remedy below it."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.text import Text

from refersion_dagster.doctor.examination import list_sections
from refersion_dagster.doctor.findings import DoctorCheck, DoctorReport, Status
from refersion_dagster.terminal import Sign, number_of, print_signed, supports_signs, wrap

SIGNS = {Status.OK: Sign.GOOD, Status.WARNING: Sign.DOUBT, Status.FAILED: Sign.BAD, Status.SKIPPED: Sign.NONE}


def show(findings: DoctorReport, console: Console) -> None:
    """Prints all findings: wrapped to the width of a terminal, otherwise one line each."""
    by_name = {check.name: check for check in findings.checks}
    sections = list_sections(findings)
    labels = {name: _label(name, section) for section, names in sections.items() for name in names}
    width = max(map(len, labels.values()))
    for section, names in sections.items():
        console.print(Text(section, style="bold"))
        # Checks that were skipped for the same reason share a line.
        for why, alike in groupby(names, key=lambda name: _explain_skip(by_name[name])):
            group = list(alike)
            if why and len(group) > 1:
                left = ", ".join(labels[name] for name in group)
                _line(DoctorCheck(group[0], Status.SKIPPED, f"{left} ({why})"), "".ljust(width), console)
            else:
                for name in group:
                    _line(by_name[name], labels[name].ljust(width), console)
        console.print()
    console.print(_render_verdict(findings), soft_wrap=True, highlight=False)


def _explain_skip(check: DoctorCheck) -> str | None:
    return check.message if check.status is Status.SKIPPED else None


def _label(name: str, section: str) -> str:
    return name.removeprefix(f"{section.lower()}_").replace("_", " ")


def _line(check: DoctorCheck, label: str, console: Console) -> None:
    is_skipped = check.status is Status.SKIPPED
    message = f"skipped: {check.message}" if is_skipped else check.message
    indent = print_signed(console, SIGNS[check.status], message, label, "dim" if is_skipped else "")
    arrow = "→" if supports_signs(console) else "->"
    for at, more in enumerate(wrap(check.remedy, console, indent + 2) if check.remedy else []):
        console.print(Text(f"{' ' * indent}{arrow if at == 0 else ' '} {more}", style="cyan"), soft_wrap=True)


def _render_verdict(findings: DoctorReport) -> Text:
    crosses, warnings = len(findings.with_status(Status.FAILED)), len(findings.with_status(Status.WARNING))
    look = number_of(warnings, "warning", "warnings") if warnings else ""
    if crosses:
        begin = "" if crosses == 1 else " Start with the first one; it may cause the others."
        also = f" {look[0].upper()}{look[1:]}." if look else ""
        told = f"A refresh would not work: {number_of(crosses, 'check', 'checks')} failed.{begin}{also}"
        return Text(told, style="bold red")
    return Text(f"A refresh would work{f'; {look}' if look else ''}.", style="bold green")

"""The doctor's findings: checks, each with a message and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Text that looks like a key is never shown, even if it is the value of another setting.
LOOKS_LIKE_A_KEY = re.compile(r"\b(?:pub|sec|gql)_[\w-]{6,}")
HIDDEN = "[hidden]"


class Status(StrEnum):
    """The status of a check. FAILED prevents a refresh, WARNING does not, and SKIPPED could not be checked."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class DoctorCheck:
    """The result of one check.

    Args:
        name: what was checked; stable between releases.
        message: the finding, in one line.
        remedy: what to do; None if nothing.
        details: figures and names behind the message, as plain JSON.
    """

    name: str
    status: Status
    message: str
    remedy: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def passed(name: str, message: str, **details: Any) -> DoctorCheck:
    return DoctorCheck(name, Status.OK, message, None, details)


def warned(name: str, message: str, remedy: str, **details: Any) -> DoctorCheck:
    return DoctorCheck(name, Status.WARNING, message, remedy, details)


def failed(name: str, message: str, remedy: str, **details: Any) -> DoctorCheck:
    return DoctorCheck(name, Status.FAILED, message, remedy, details)


def skipped(name: str, because: str) -> DoctorCheck:
    return DoctorCheck(name, Status.SKIPPED, because)


@dataclass(frozen=True)
class DoctorReport:
    """All checks, in display order."""

    checks: Sequence[DoctorCheck]

    @property
    def ok(self) -> bool:
        """Whether a refresh would work."""
        return not self.with_status(Status.FAILED)

    def with_status(self, status: Status) -> list[DoctorCheck]:
        return [check for check in self.checks if check.status is status]

    def as_json(self) -> dict[str, Any]:
        """Returns `{"ok": …, "checks": [{"name", "status", "message", "remedy", "details"}, …]}`; stable between
        releases.
        """
        return {
            "ok": self.ok,
            "checks": [
                {
                    "name": check.name,
                    "status": check.status.value,
                    "message": check.message,
                    "remedy": check.remedy,
                    "details": dict(check.details),
                }
                for check in self.checks
            ],
        }

    def without(self, secrets: Sequence[str]) -> DoctorReport:
        """Returns a copy in which these secrets and anything that looks like a key are hidden."""

        def hide(text: str) -> str:
            for secret in secrets:
                text = text.replace(secret, HIDDEN)
            return LOOKS_LIKE_A_KEY.sub(HIDDEN, text)

        return self.rename(hide)

    def rename(self, change: Callable[[str], str]) -> DoctorReport:
        """Returns a copy in which each text is changed, except the names of checks."""

        def clean(value: Any) -> Any:
            match value:
                case str():
                    return change(value)
                case Mapping():
                    return {clean(key): clean(item) for key, item in value.items()}
                case list() | tuple():
                    return [clean(item) for item in value]
                case _:
                    return value

        return DoctorReport(
            [
                DoctorCheck(check.name, check.status, clean(check.message), clean(check.remedy), clean(check.details))
                for check in self.checks
            ]
        )

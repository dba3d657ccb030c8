"""The files of a folder of exports, and what their names say: contents, period, and when they were made.

An export does not say when it was made or which period it covers, and a file's modification time changes whenever it
is copied. Both therefore stand in its name:

    conversions 2026-07-01 0930.csv                                everything up to that moment
    conversions from 2026-04-01 2026-07-01 0930.csv                made since that day
    conversions from 2026-01-01 to 2026-03-31 2026-07-01 0932.csv  made on these days
    affiliates 2026-07-01 0931.csv
    performance from 2026-06-01 to 2026-06-30 2026-07-01 0933.csv
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from refersion_dagster.refersion.errors import ExportInProgress, UnusableExport
from refersion_dagster.refersion.extract.incremental import BEGINNING
from refersion_dagster.refersion.extract.stats import ReadSpan

CONVERSIONS, AFFILIATES, PERFORMANCE = "conversions", "affiliates", "performance"
EXAMPLES = (
    "Name it like 'conversions 2026-07-01 0930.csv' (everything up to that moment), 'conversions from 2026-04-01 "
    "2026-07-01 0930.csv' (made since that day) or 'affiliates 2026-07-01 0930.csv': the last date and time say when "
    "it was exported, in the time zone of exports.yaml."
)
EXPORT_EVERYTHING = "Export everything once."
GAP = r"[ _-]+"
DAY = r"\d{4}-\d\d-\d\d"
NAME = re.compile(
    rf"(?P<kind>{CONVERSIONS}|{AFFILIATES}|{PERFORMANCE})"
    rf"(?:{GAP}from{GAP}(?P<start>{DAY}))?(?:{GAP}to{GAP}(?P<end>{DAY}))?"
    rf"{GAP}(?P<day>{DAY})(?:T|{GAP})(?P<hour>\d\d)[.h:]?(?P<minute>\d\d)(?:[.m:]?(?P<second>\d\d))?"
    r"(?P<copy> ?\(\d+\))?\.csv",
    re.ASCII | re.IGNORECASE,
)
# Between two exports that were made one after the other, nobody waits longer.
SAME_SITTING = timedelta(days=1)


@dataclass(frozen=True)
class ExportFile:
    """One exported file.

    Args:
        kind: conversions, affiliates or performance.
        path: where it is.
        made_at: when it was exported, UTC, as its name says.
        start, end: the half-open span of `created` that it covers, UTC. Which times of a
        performance report's rows that means is not known.
        content: its bytes.
    """

    kind: str
    path: Path
    made_at: datetime
    start: datetime
    end: datetime
    content: bytes

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def digest(self) -> str:
        """Identifies the content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def span(self) -> ReadSpan:
        return ReadSpan(self.start, self.end, self.made_at)


def list_exports(folder: Path, zone: ZoneInfo) -> list[ExportFile]:
    """Returns every exported file in the order in which they were made; of identical files with the same name, one.

    Args:
        zone: time zone of the dates and times in names.

    Raises UnusableExport for a name that does not say what is needed, and for files whose order is not known.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file())
    except OSError as error:
        raise UnusableExport(
            f"The folder of exports {folder} cannot be read: {error.strerror or error}.",
            advice="Correct REFERSION_EXPORTS_PATH.",
        ) from None
    if not paths:
        raise UnusableExport(f"The folder of exports {folder} has no CSV file.", advice=EXAMPLES)
    found: dict[tuple[str, datetime, datetime, datetime, str], ExportFile] = {}
    for path in paths:
        file = _identify(path, zone)
        found.setdefault((file.kind, file.made_at, file.start, file.end, file.digest), file)
    files = sorted(found.values(), key=lambda file: (file.made_at, file.start, file.name))
    check_order(files)
    return files


def check_order(files: Sequence[ExportFile]) -> None:
    """Raises UnusableExport if it is not known which of two files that cover the same is the later one."""
    for one, other in pairwise(sorted(files, key=lambda file: (file.kind, file.made_at, file.start, file.end))):
        if one.kind != other.kind or one.made_at != other.made_at:
            continue
        same_period = (one.start, one.end) == (other.start, other.end)
        # Performance reports of a month and of its year are two facts, not two versions of one.
        if same_period if one.kind == PERFORMANCE else one.kind == AFFILIATES or other.start < one.end:
            raise UnusableExport(
                f"{one.name} and {other.name} have different rows but the same time: it is not known which is later.",
                advice="Say in their names when each was exported, to the second if necessary (093015).",
            )


def find_gaps(spans: Sequence[ReadSpan]) -> list[tuple[datetime, datetime]]:
    """Returns the spans of time that no export of conversions covers, up to the latest export."""
    if not spans:
        return []
    ordered = sorted(spans, key=lambda span: (span.start, span.end))
    latest = max(span.read_at for span in spans)
    covered = ordered[0].end
    gaps: list[tuple[datetime, datetime]] = []
    for span in ordered[1:]:
        if span.start > covered:
            gaps.append((covered, span.start))
        covered = max(covered, span.end)
    if covered < latest - SAME_SITTING:
        gaps.append((covered, latest))
    return gaps


def check_coverage(spans: Sequence[ReadSpan], zone: ZoneInfo) -> None:
    """Raises UnusableExport if days are missing: their conversions would be missing from every figure, unsaid."""
    gaps = find_gaps(spans)
    if not gaps:
        return
    first = gaps[0][0].astimezone(zone)
    missing = " and ".join(
        f"from {start.astimezone(zone):%Y-%m-%d %H:%M} to {last.astimezone(zone):%Y-%m-%d %H:%M}"
        for start, last in ((start, end - timedelta(seconds=1)) for start, end in gaps)
    )
    raise UnusableExport(
        f"No export has the conversions made {missing} ({zone.key}). Figures would be too low, so nothing was loaded.",
        advice=f"Export conversions from {first:%Y-%m-%d} on, and say so in the name: "
        f"'conversions from {first:%Y-%m-%d} <date and time of the export>.csv'.",
    )


def _identify(path: Path, zone: ZoneInfo) -> ExportFile:
    said = NAME.fullmatch(path.name)
    content = _read(path)
    if said is None:
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).astimezone(zone)
        raise UnusableExport(
            f"The name of {path.name} does not say what it holds and when it was exported.",
            advice=f"{EXAMPLES} The file was last changed on {changed:%Y-%m-%d at %H%M}, which may be when that was.",
        )
    kind = said["kind"].lower()
    try:
        made_on = date.fromisoformat(said["day"])
        made_at = datetime.combine(
            made_on, time(int(said["hour"]), int(said["minute"]), int(said["second"] or 0)), zone
        )
        first = date.fromisoformat(said["start"]) if said["start"] else None
        last = date.fromisoformat(said["end"]) if said["end"] else None
    except ValueError as error:
        raise UnusableExport(
            f"The name of {path.name} has an impossible date or time: {error}.", advice=EXAMPLES
        ) from None
    made_at = made_at.astimezone(UTC)
    if made_at > datetime.now(UTC):
        raise UnusableExport(
            f"{path.name} says that it was exported in the future ({made_at:%Y-%m-%d %H:%M} UTC).",
            advice="Correct the name, or timezone in exports.yaml.",
        )
    if kind == AFFILIATES and (first or last):
        raise UnusableExport(
            f"{path.name} says that it covers a period, but an export of affiliates lists all of them.", advice=EXAMPLES
        )
    if last and not first:
        raise UnusableExport(f"The name of {path.name} has the end of a period, but no start.", advice=EXAMPLES)
    # Rows of the second in which it was made may be in it.
    upto = made_at + timedelta(seconds=1)
    start = _midnight(first, zone) if first else BEGINNING
    end = min(_midnight(last + timedelta(days=1), zone), upto) if last else upto
    if start >= end:
        raise UnusableExport(f"The period in the name of {path.name} ends before it begins.", advice=EXAMPLES)
    return ExportFile(kind, path, made_at, start, end, content)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _read(path: Path) -> bytes:
    try:
        before = path.stat()
        content = path.read_bytes()
        after = path.stat()
    except OSError as error:
        raise UnusableExport(f"{path.name} cannot be read: {error.strerror or error}.") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(content) != after.st_size:
        raise ExportInProgress(
            f"{path.name} changed while it was read.", advice="It is still being written; load it later."
        )
    return content


def describe_beginning(spans: Sequence[ReadSpan], zone: ZoneInfo) -> str | None:
    """Says from which day on the exports cover conversions; None if they cover all, or there are none."""
    first = min((span.start for span in spans), default=BEGINNING)
    if first <= BEGINNING:
        return None
    return (
        f"No export has conversions made before {first.astimezone(zone):%Y-%m-%d} ({zone.key}). If there are any, what "
        "is owed for them is in no figure."
    )

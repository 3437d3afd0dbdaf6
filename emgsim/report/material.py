"""What of a run's folder can be shown: recordings, truth, findings, and which units stand out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from emgsim.errors import InputError
from emgsim.files.findings import read_findings
from emgsim.files.npz import read_npz
from emgsim.recording import Findings, Recording, Truth
from emgsim.records.journal import Line
from emgsim.records.record import RunRecord

T = TypeVar("T")

PATHS = ("truth", "loopback", "device")
PLAYED = ("recording", *PATHS[1:])  # of a playback: there is no truth
# apart for colour-blind readers too, and each at least 4:1 on white
COLOURS = ("#0072b2", "#c24e00", "#007a58", "#9b3f8c", "#776700", "#0f7684", "#7b4b2a", "#332288",
           "#b0304f", "#4d7a1f")  # fmt: skip
GREY = "#767676"
LARGEST = 4  # units shown where no score says which are detectable
MOST_UNITS = 12  # units shown in pictures


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a run's files hold, and for each that cannot be shown, why.

    ``units`` are the ids of the true units that pictures show, the largest first; ``matched`` gives
    for each path the true unit of a found one.
    """

    recordings: dict[str, Recording] = field(default_factory=dict)
    findings: dict[str, Findings] = field(default_factory=dict)
    truth: Truth | None = None
    missing: dict[str, str] = field(default_factory=dict)
    units: tuple[int, ...] = ()
    is_scored: bool = False
    n_detectable: int = 0
    matched: dict[str, dict[int, int]] = field(default_factory=dict)

    def colour(self, unit: int | None) -> str:
        """Return the colour of a true unit; grey for one that is not shown or not matched."""
        return COLOURS[self.units.index(unit) % len(COLOURS)] if unit in self.units else GREY

    def lane(self, path: str, found: int) -> int | str:
        """Return where a found unit is drawn: its true unit, or a lane for all others."""
        true = self.true_unit(path, found)
        if true is None:
            return "no match"
        return true if true in self.units else "other unit"

    def true_unit(self, path: str, found: int) -> int | None:
        """Return the true unit that a path's found unit was matched with."""
        return self.matched.get(path, {}).get(found)


def gather(folder: Path, record: RunRecord) -> Material:
    """Read all that a run's folder holds; what is missing or broken is named, never fatal."""
    missing: dict[str, str] = {}
    recordings, findings = {}, {}
    usual = _usual(record)
    truth: Truth | None = None
    for path in paths(record):
        wave = str(record.captures.get(path, {}).get("file", f"wave/{path}.npz"))
        is_recorded = path in usual or path in record.captures  # what a device reports is not
        if is_recorded and (got := _read(folder, wave, read_npz, missing)) is not None:
            recordings[path] = got[0]
            truth = got[1] if path == "truth" else truth
        if path not in record.findings and (path not in PATHS or record.is_playback):
            continue
        found = str(record.findings.get(path, {}).get("file", f"findings-{path}.json"))
        if (seen := _read(folder, found, read_findings, missing)) is not None:
            findings[path] = seen
    scored = _detectable(record)
    return Material(
        recordings=recordings,
        findings=findings,
        truth=truth,
        missing=missing,
        units=(scored or _largest(truth))[:MOST_UNITS],
        is_scored=bool(scored),
        n_detectable=len(scored),
        matched=_matched(record),
    )


def read_capture(folder: Path, record: RunRecord, path: str) -> Recording | None:
    """Return the recording of any captured path, as the oscilloscope's monitor; None without it."""
    wave = str(record.captures.get(path, {}).get("file", ""))
    got = _read(folder, wave, read_npz, {}) if wave else None
    return None if got is None else got[0]


def paths(record: RunRecord) -> tuple[str, ...]:
    """Return the paths to be shown: the three usual ones, and what else was analysed.

    Of a run that broke off before its analysis, all that was captured.
    """
    others, usual = record.findings or record.captures, _usual(record)
    return (*usual, *sorted(set(others) - set(usual)))


def _usual(record: RunRecord) -> tuple[str, ...]:
    return PLAYED if record.is_playback else PATHS


def _read(folder: Path, name: str, read: Callable[[Path], T], missing: dict[str, str]) -> T | None:
    """Read a file of the run, or note why it cannot be read."""
    inside = (folder / name).resolve().is_relative_to(folder.resolve())
    try:
        if inside:
            return read(folder / name)
        missing[name] = "lies outside the run's folder"
    except InputError as error:
        missing[name] = error.what
    return None


def _rows(record: RunRecord) -> list[Line]:
    return [row for rows in record.scores.values() for row in rows]


def _detectable(record: RunRecord) -> tuple[int, ...]:
    """Return the true units that are detectable on any path, the largest first."""
    sizes = {
        int(row["truth_id"]): float(row.get("amplitude_uv") or 0.0)
        for row in _rows(record)
        if row.get("detectable") and row.get("truth_id") is not None
    }
    return tuple(sorted(sizes, key=lambda unit: (-sizes[unit], unit)))


def _largest(truth: Truth | None) -> tuple[int, ...]:
    units = () if truth is None else truth.units
    largest = sorted(units, key=lambda unit: (-unit.peak_to_peak_uv, unit.id))[:LARGEST]
    return tuple(unit.id for unit in largest)


def _matched(record: RunRecord) -> dict[str, dict[int, int]]:
    def of(rows: list[Line]) -> dict[int, int]:
        return {
            int(row["found_id"]): int(row["truth_id"])
            for row in rows
            if row.get("found_id") is not None and row.get("truth_id") is not None
        }

    return {path: of(rows) for path, rows in record.scores.items()}

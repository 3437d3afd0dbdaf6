"""What differs between two records, and which of it says that the runs themselves differ.

Two runs of the same scenario, rig, seed and code have equal records: all but when and where they
ran, and what interrupted them. A run that was interrupted and gone on with equals one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emgsim.records.journal import Line
from emgsim.records.record import RECORD

# Of the run, not of what it found: who, when, where, how long, and what went wrong on the way.
# And what follows from the measurements, which would only be told twice.
CIRCUMSTANCES = (
    "run_id", "started", "ended", "stages", "errors", "host", "previous", "resumed", "digests",
    "arm", "traceability",
)  # fmt: skip
SETTINGS = (
    "scenario", "examination", "rig", "seed", "detector", "versions", "checkout", "prepare",
    "identities", "plan", "status", "exit_code", "verdict", "output_off",
)  # fmt: skip
BROKEN = "device_raw"  # what a broken playback left
NOT_THERE = "–"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One value that differs; ``part`` is the record's, ``path`` the keys in it."""

    part: str
    path: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What differs between two records.

    ``settings`` are single values. ``measurements`` are pairs of the old and the new row, None for
    one that is not there. ``others`` has for each further part how many values of it differ.
    """

    settings: tuple[Change, ...]
    measurements: tuple[tuple[Line | None, Line | None], ...]
    n_equal: int  # measurements
    others: dict[str, int]

    @property
    def is_equal(self) -> bool:
        """Whether the two runs are equal."""
        return not (self.settings or self.measurements or self.others)


def comparable(table: Line) -> Line:
    """Return of a record's table what equal runs have equal.

    Left out are the circumstances of the run, what a broken playback left, what a detector or the
    preparation said, and the digests of the muscles' records, which hold circumstances.
    """
    left = {key: value for key, value in table.items() if key not in CIRCUMSTANCES}
    left["captures"] = _without_broken(left.get("captures", {}))
    left["files"] = {
        name: sha256
        for name, sha256 in _without_broken(left.get("files", {})).items()
        if not name.endswith((RECORD, ".log"))
    }
    said = left.get("prepare", {})
    left["prepare"] = {k: said[k] for k in ("command", "exit_status") if k in said}
    return left


def _without_broken(table: Line) -> Line:
    return {k: v for k, v in table.items() if not k.removeprefix("wave/").startswith(BROKEN)}


def differences(old: Line, new: Line) -> Differences:
    """Return what differs between two records' tables.

    Parameters
    ----------
    old, new
        As `RunRecord.to_json` and `ExamRecord.to_json` write them, read back.
    """
    old, new = comparable(old), comparable(new)
    before = {m["id"]: m for m in old.pop("measurements", ())}
    after = {m["id"]: m for m in new.pop("measurements", ())}
    ids = dict.fromkeys([*before, *after])
    pairs = [(before.get(id), after.get(id)) for id in ids]
    changed = tuple((a, b) for a, b in pairs if a != b)
    parts = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    moved = list(before) != list(after) and not changed
    return Differences(
        settings=tuple(
            change
            for part in SETTINGS
            if part in parts
            for change in _changes(part, "", old.get(part), new.get(part))
        ),
        measurements=changed,
        n_equal=len(pairs) - len(changed),
        others={
            part: sum(1 for _ in _changes(part, "", old.get(part), new.get(part)))
            for part in parts
            if part not in SETTINGS
        }
        | ({"order of measurements": len(ids)} if moved else {}),
    )


def _changes(part: str, path: str, old: Any, new: Any) -> Iterator[Change]:
    """Yield the values that differ, however deep they are."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            below = f"{path}.{key}" if path else str(key)
            yield from _changes(part, below, old.get(key, NOT_THERE), new.get(key, NOT_THERE))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _changes(part, f"{path}[{number}]", one, other)
    else:
        yield Change(part=part, path=path, old=old, new=new)

"""Findings as ``findings.json``: units with their discharges and MUAPs, runs, events, measures."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.recording import AxisFinding, Event, Findings, FoundRun, FoundUnit, Recording

SCHEMA = "emgsim.findings/1"
MOST_PER_S = 10_000  # discharges of all units together: a hundred units at a hundred a second
MOST_UNITS = 1_000
SLACK_S = 0.05  # a main spike may lie so far outside the recording that holds the unit's flank
QUOTED = 200  # characters of a foreign error


def findings_table(findings: Findings) -> dict[str, Any]:
    """Return findings as plain tables and lists."""
    return {"schema": SCHEMA, **_plain(findings)}


def _plain(value: object) -> Any:
    """Return arrays and tuples as lists, our dataclasses as tables, and NaN as None."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value


def write_findings(path: Path, findings: Findings) -> None:
    """Write findings as JSON; what is not known (NaN) is written as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(findings_table(findings), allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_findings(path: Path) -> Findings:
    """Read findings; of a unit only ``discharge_times_s`` is required.

    Raises
    ------
    InputError
        If the file is missing, is no JSON, or its units lack their discharges.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return Findings(
            units=tuple(_unit(index, row) for index, row in enumerate(table["units"], start=1)),
            events=tuple(Event(**row) for row in table.get("events", [])),
            runs=tuple(_run(index, row) for index, row in enumerate(table.get("runs", []), 1)),
            axes=tuple(_axis(row) for row in table.get("axes", [])),
            measures=tuple(table.get("measures", [])),
            muap_rate_hz=float(table.get("muap_rate_hz", 0.0)),
            plan=str(table.get("plan", "")),
        )
    except OSError as error:
        raise InputError(
            f"cannot read the findings: {error.strerror}", where=str(path), todo="check the path"
        ) from error
    except Exception as error:  # whatever a stranger's JSON makes of our expectations
        raise InputError(
            f"invalid findings: {_in_words(error)}",
            where=str(path),
            todo='write {"units": [{"discharge_times_s": [...]}]}',
        ) from error


def refuse_impossible(found: Findings, recording: Recording, where: str) -> None:
    """Refuse what no recording of this length can hold: a mistake of units, or nonsense.

    Parameters
    ----------
    found
        What a detector says of the recording.
    recording
        What it was given.
    where
        The file of the findings, for the message.

    Raises
    ------
    InputError
        If two units have one id, there are more units or discharges than can be meant, or one of
        the discharges lies outside the recording.
    """
    ids = [unit.id for unit in found.units]
    if twice := sorted({id for id in ids if ids.count(id) > 1} if len(ids) <= MOST_UNITS else ()):
        raise InputError(
            f"invalid findings: each unit needs an id of its own, got {twice[0]} twice",
            where=where,
            todo="number the units, or leave their ids out",
        )
    n = sum(unit.discharge_times_s.size for unit in found.units)
    if len(ids) > MOST_UNITS or n > MOST_PER_S * max(1.0, recording.duration_s):
        raise InputError(
            f"invalid findings: at most {MOST_UNITS} units and {MOST_PER_S} discharges a second "
            f"are scored, got {len(ids)} units and {n} discharges in {recording.duration_s:g} s",
            where=where,
            todo="raise the threshold of the detector; not every sample is a discharge",
        )
    first_s, end_s = recording.start_s, recording.start_s + recording.duration_s
    for unit in found.units:
        times_s = unit.discharge_times_s
        outside = times_s[(times_s < first_s - SLACK_S) | (times_s > end_s + SLACK_S)]
        if outside.size:
            raise InputError(
                f"invalid findings: discharge times must lie in the recording, from {first_s:g} to "
                f"{end_s:g} s; unit {unit.id} has {outside.size} of {times_s.size} outside, one "
                f"at {outside[0]:.6g} s",
                where=where,
                todo="write seconds on the recording's clock: sample k is at start_s + k / rate_hz",
            )


def _in_words(error: Exception) -> str:
    """Say what is wrong with a file, and never all of its bytes."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no UTF-8; the file must be JSON"
    if isinstance(error, json.JSONDecodeError):
        return f"the file must be JSON: {error}" if error.doc.strip() else "the file is empty"
    if isinstance(error, KeyError):
        return f"the key {error} is missing"
    return f"{type(error).__name__}: {str(error)[:QUOTED]}"


def _unit(index: int, row: dict[str, Any]) -> FoundUnit:
    times, order = _times(f"unit {index}", row["discharge_times_s"])
    confidence = row.get("confidence")
    if confidence is not None and len(confidence) != times.size:
        raise ValueError(f"unit {index}: confidence must have {times.size} values")
    return FoundUnit(
        id=int(row.get("id", index)),
        discharge_times_s=times,
        muap_uv=_wave(row.get("muap_uv", [])),
        muap_start_s=float(row.get("muap_start_s", 0.0)),
        measures=_numbers(row.get("measures", {})),
        intervals={
            key: (_number(a), _number(b)) for key, (a, b) in row.get("intervals", {}).items()
        },
        confidence=None if confidence is None else np.array(confidence, dtype=np.float64)[order],
    )


def _run(index: int, row: dict[str, Any]) -> FoundRun:
    times, _ = _times(f"run {index}", row.get("discharge_times_s", []))
    return FoundRun(
        kind=str(row["kind"]),
        onset_s=float(row["onset_s"]),
        offset_s=float(row["offset_s"]),
        discharge_times_s=times,
        potential_uv=_wave(row.get("potential_uv", [])),
        potential_start_s=float(row.get("potential_start_s", 0.0)),
        probability=float(row.get("probability", 1.0)),
        grade=row.get("grade"),
        measures=_numbers(row.get("measures", {})),
    )


def _axis(row: dict[str, Any]) -> AxisFinding:
    return AxisFinding(
        axis=str(row["axis"]),
        value=str(row["value"]),
        probabilities=_numbers(row["probabilities"]),
        because=_numbers(row.get("because", {})),
    )


def _times(whose: str, given: object) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the times in ascending order, and the order they came in."""
    times = np.atleast_1d(np.asarray(given, dtype=np.float64))
    if times.ndim > 1:
        raise ValueError(f"{whose}: discharge_times_s must be one list, got lists in a list")
    if not np.all(np.isfinite(times)):
        raise ValueError(f"{whose}: discharge_times_s must be finite")
    order = np.argsort(times, kind="stable")
    return times[order], order


def _wave(given: object) -> NDArray[np.float64]:
    wave = np.asarray(given, dtype=np.float64)
    return wave.reshape(wave.shape[0], -1) if wave.size else np.zeros((0, 1))


def _numbers(table: dict[str, Any]) -> dict[str, float]:
    return {key: _number(value) for key, value in table.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)

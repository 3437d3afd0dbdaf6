"""Findings as ``findings.json``: units with their discharges and MUAPs, runs, events, measures."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import InputError
from emgsim.recording import AxisFinding, Event, Findings, FoundRun, FoundUnit

SCHEMA = "emgsim.findings/1"


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
            f"invalid findings: {error!r}",
            where=str(path),
            todo='write {"units": [{"discharge_times_s": [...]}]}',
        ) from error


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
    times = np.asarray(given, dtype=np.float64).reshape(-1)
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

"""Findings as ``findings.json``: units with their discharges and MUAPs, events, measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emgsim.errors import InputError
from emgsim.recording import Event, Findings, FoundUnit

SCHEMA = "emgsim.findings/1"


def findings_table(findings: Findings) -> dict[str, Any]:
    """Return findings as plain tables and lists."""
    return {
        "schema": SCHEMA,
        "plan": findings.plan,
        "muap_rate_hz": findings.muap_rate_hz,
        "units": [
            {
                "id": unit.id,
                "discharge_times_s": unit.discharge_times_s.tolist(),
                "muap_uv": unit.muap_uv.tolist(),
                "muap_start_s": unit.muap_start_s,
                "measures": unit.measures,
            }
            for unit in findings.units
        ],
        "events": [
            {
                "kind": e.kind,
                "onset_s": e.onset_s,
                "offset_s": e.offset_s,
                "grade": e.grade,
                "source": e.source,
            }
            for e in findings.events
        ],
        "measures": list(findings.measures),
    }


def write_findings(path: Path, findings: Findings) -> None:
    """Write findings as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(findings_table(findings)) + "\n", encoding="utf-8")


def read_findings(path: Path) -> Findings:
    """Read findings; of a unit only ``discharge_times_s`` is required.

    Raises
    ------
    InputError
        If the file is missing, is no JSON, or its units lack their discharges.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        units = tuple(_unit(index, row) for index, row in enumerate(table["units"], start=1))
        return Findings(
            units=units,
            events=tuple(Event(**row) for row in table.get("events", [])),
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
    times = np.sort(np.asarray(row["discharge_times_s"], dtype=np.float64).reshape(-1))
    if not np.all(np.isfinite(times)):
        raise ValueError(f"unit {index}: discharge_times_s must be finite")
    muap = np.asarray(row.get("muap_uv", np.zeros((0, 1))), dtype=np.float64)
    return FoundUnit(
        id=int(row.get("id", index)),
        discharge_times_s=times,
        muap_uv=muap.reshape(muap.shape[0], -1) if muap.size else np.zeros((0, 1)),
        muap_start_s=float(row.get("muap_start_s", 0.0)),
        measures=dict(row.get("measures", {})),
    )

"""Recordings packed for the page's waveform viewer."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np

from emgsim.recording import Floats, Recording
from emgsim.records.journal import Line
from emgsim.report.material import GREY, Material

STEP_UV = 0.25  # a fifth of a pixel at 50 uV/div
COARSE_UV = 0.5  # rather than to leave samples out
FULL_SCALE = 32_000
LOST = -32_768  # marks samples that never arrived
BUDGET = 2_200_000  # characters of all traces
LEAST_BUDGET = 100_000  # of one trace, however little is left
MOST_SAMPLES = 1_500_000  # per trace; below half a byte per sample nothing shrinks
EFFORT_POINTS = 400
DEFLATE = 6  # level 9 takes ten times as long for 2 to 4 % fewer bytes


def viewer_json(material: Material, *, budget: int = BUDGET) -> str:
    """Return all that the viewer draws as JSON that is safe inside a script element.

    Parameters
    ----------
    material
        Of the run.
    budget
        Most characters of the recordings together. What short ones leave goes to the long ones.
    """
    data = {
        "traces": _traces(material, budget),
        "lanes": _true_lanes(material),
        "events": _events(material),
        "effort": _effort(material),
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), sort_keys=True)
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _traces(material: Material, budget: int) -> list[Line]:
    """Return the traces in their order, packed from the shortest to the longest."""
    recordings, packs = material.recordings, dict[str, Line]()
    for path in sorted(recordings, key=lambda path: recordings[path].n_samples):
        fair = budget // (len(recordings) - len(packs))
        packs[path] = packed(recordings[path], budget=max(LEAST_BUDGET, fair))
        budget -= len(packs[path]["data"])
    return [_trace(material, path, packs[path]) for path in recordings]


def _trace(material: Material, path: str, pack: Line) -> Line:
    recording = material.recordings[path]
    return {
        "path": path,
        "channel": recording.channels[0].name if recording.channels else "",
        "start_s": recording.start_s,
        "lanes": _found_lanes(material, path),
        **pack,
    }


def packed(recording: Recording, *, budget: int = BUDGET) -> dict[str, Any]:
    """Pack a recording's first channel: int16 steps, differences, bytes in two planes, deflate.

    If that passes the budget, the steps are twice as large. If it still does, each block of samples
    is kept as its smallest and largest value, which draws the same picture until the reader zooms
    in below the block.

    Parameters
    ----------
    recording
        Any number of channels; NaN marks lost samples.
    budget
        Most characters of base64.

    Returns
    -------
    dict
        ``data``, ``n`` values, ``rate_hz`` of the values, ``step_uv``, and ``block``: 1, or the
        samples behind each pair of values.
    """
    samples_uv = recording.samples_uv[:, 0]
    block = 1
    while _n_values(samples_uv.size, block) > MOST_SAMPLES:
        block = _wider(block)
    shown_uv, text, step_uv = _coded(samples_uv, block)
    if len(text) > budget and block == 1:
        shown_uv, text, step_uv = _coded(samples_uv, block, COARSE_UV)
    while len(text) > budget and shown_uv.size > 4:
        block = _wider(block)
        shown_uv, text, step_uv = _coded(samples_uv, block)
    return {
        "data": text,
        "n": int(shown_uv.size),
        "rate_hz": recording.rate_hz * (1 if block == 1 else 2 / block),
        "step_uv": step_uv,
        "block": block,
    }


def _wider(block: int) -> int:
    return 4 if block == 1 else 2 * block


def _n_values(n_samples: int, block: int) -> int:
    return n_samples if block == 1 else 2 * -(-n_samples // block)


def _pairs(samples_uv: Floats, block: int) -> Floats:
    """Return the smallest and largest value of each block in turn; lost blocks stay NaN."""
    n_blocks = -(-samples_uv.size // block)
    padded = np.full(n_blocks * block, np.nan)
    padded[: samples_uv.size] = samples_uv
    rows = padded.reshape(n_blocks, block)
    pairs = np.stack([np.fmin.reduce(rows, axis=1), np.fmax.reduce(rows, axis=1)], axis=1)
    return pairs.reshape(-1)


def _coded(samples_uv: Floats, block: int, least_uv: float = STEP_UV) -> tuple[Floats, str, float]:
    """Return the values that are kept, their code, and the microvolts of one step."""
    shown_uv = samples_uv if block == 1 else _pairs(samples_uv, block)
    largest_uv = float(np.nanmax(np.abs(shown_uv), initial=0.0))
    step_uv = max(least_uv, largest_uv / FULL_SCALE)
    steps = np.where(np.isfinite(shown_uv), np.rint(shown_uv / step_uv), LOST)
    codes = np.diff(steps.astype(np.int16), prepend=np.int16(0))  # wraps; the reader wraps back
    planes = codes.astype("<i2").view(np.uint8).reshape(-1, 2).T
    text = base64.b64encode(zlib.compress(planes.tobytes(), DEFLATE)).decode("ascii")
    return shown_uv, text, step_uv


def _true_lanes(material: Material) -> list[Line]:
    truth = {} if material.truth is None else {unit.id: unit for unit in material.truth.units}
    return [
        _lane(f"unit {unit}", material.colour(unit), truth[unit].spike_times_s)
        for unit in material.units
        if unit in truth
    ]


def _found_lanes(material: Material, path: str) -> list[Line]:
    """Return one lane per shown unit in their order, and a grey one for what has no match."""
    if path not in material.findings:
        return []
    lanes: dict[int | str, list[Floats]] = {unit: [] for unit in material.units}
    for found in material.findings[path].units:
        lanes.setdefault(material.lane(path, found.id), []).append(found.discharge_times_s)
    return [
        _lane(
            f"found {unit}" if isinstance(unit, int) else unit,
            material.colour(unit) if isinstance(unit, int) else GREY,
            np.sort(np.concatenate([*trains, np.zeros(0)])),
        )
        for unit, trains in lanes.items()
    ]


def _lane(label: str, colour: str, times_s: Floats) -> Line:
    return {"label": label, "colour": colour, "times_s": np.round(times_s, 5).tolist()}


def _events(material: Material) -> list[Line]:
    events = () if material.truth is None else material.truth.events
    return [{"kind": e.kind, "onset_s": e.onset_s, "offset_s": e.offset_s} for e in events]


def _effort(material: Material) -> Line | None:
    truth = material.truth
    if truth is None or truth.effort.size == 0:
        return None
    every = max(1, truth.effort.size // EFFORT_POINTS)
    return {
        "times_s": np.round(truth.effort_times_s[::every], 3).tolist(),
        "mvc": np.round(truth.effort[::every], 4).tolist(),
    }

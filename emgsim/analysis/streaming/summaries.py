"""What is known of a stream at one moment, in the form of an analysis of a recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis import muaps
from emgsim.analysis.effort import segments
from emgsim.analysis.trains import train_measures
from emgsim.recording import Event, Findings, FoundUnit, Recording

Floats = NDArray[np.float64]

FEWEST_AVERAGED = 3  # discharges; fewer give no average


def summary(recording: Recording, trains_s: list[Floats], plan: str) -> Findings:
    """Return units and events of a stream.

    Parameters
    ----------
    recording
        What is remembered of the stream, one channel: potentials and events are taken from it.
    trains_s
        All discharge times of each unit, also from before the recording.
    plan
        How they were found.
    """
    recent = [train_s[train_s >= recording.start_s] for train_s in trains_s]
    waves = muaps.averaged(recording, recent) if trains_s else []
    units = []
    for number, (train_s, own, wave) in enumerate(zip(trains_s, recent, waves, strict=True), 1):
        is_known = own.size >= FEWEST_AVERAGED
        wave_uv = wave if is_known else np.full(wave.shape, np.nan)
        units.append(_found(number, train_s, wave_uv, recording.rate_hz))
    return Findings(
        units=tuple(units),
        events=_events(recording, recent),
        muap_rate_hz=recording.rate_hz,
        plan=plan,
    )


def _events(recording: Recording, trains_s: list[Floats]) -> tuple[Event, ...]:
    samples_uv = recording.samples_uv[:, 0]
    if not np.isfinite(samples_uv).any():
        return ()
    return segments(samples_uv, recording.rate_hz, start_s=recording.start_s, trains_s=trains_s)


def _found(number: int, train_s: Floats, wave_uv: Floats, rate_hz: float) -> FoundUnit:
    return FoundUnit(
        id=number,
        discharge_times_s=train_s,
        muap_uv=wave_uv,
        muap_start_s=muaps.start_s(rate_hz),
        measures={
            **train_measures(train_s),
            "peak_to_peak_uv": float(np.ptp(wave_uv[:, 0])),
        },
    )

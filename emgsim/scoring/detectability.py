"""How far each true unit stands out of all the rest of a recording."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emgsim.recording import MotorUnit, Recording, Truth
from emgsim.stages import add_train

Floats = NDArray[np.float64]
Render = Callable[[MotorUnit], Floats]

DETECTABLE_RATIO = 6.0  # MUAP peak-to-peak over the rms of everything else
CANDIDATE_RATIO = 0.5  # of that: a unit smaller still need not be rendered to be ruled out


def detectability(
    recording: Recording, truth: Truth, render: Render | None = None
) -> dict[int, float]:
    """Return each unit's MUAP peak-to-peak over the rms of the recording without the unit.

    The rms is taken over the unit's active span, from its first to its last discharge, as rest
    would flatter it. Channel 0; lost samples are left out.

    Raises
    ------
    ValueError
        If no render is given and the recording's rate is not that of the truth's MUAPs.
    """
    samples = recording.samples_uv[:, 0]
    times_s = recording.times_s
    out = {}
    for unit in truth.units:
        spikes = unit.spike_times_s
        span = (times_s >= spikes.min(initial=np.inf)) & (times_s <= spikes.max(initial=-np.inf))
        span &= np.isfinite(samples)
        if np.count_nonzero(span) < 2:
            out[unit.id] = 0.0
            continue
        whole = float(np.std(samples[span]))
        if unit.peak_to_peak_uv < CANDIDATE_RATIO * DETECTABLE_RATIO * whole:
            # Taking the unit away lowers the rms by less than a factor of two: it stays below.
            out[unit.id] = unit.peak_to_peak_uv / whole if whole > 0 else math.inf
            continue
        own = clean_train(recording, truth, unit) if render is None else render(unit)
        rest = float(np.std((samples - own)[span]))
        out[unit.id] = unit.peak_to_peak_uv / rest if rest > 0 else math.inf
    return out


def clean_train(recording: Recording, truth: Truth, unit: MotorUnit) -> Floats:
    """Return what one unit adds to the samples of a clean recording, shape ``(n_samples,)``.

    Raises
    ------
    ValueError
        If the recording's rate is not that of the truth's MUAPs.
    """
    if not math.isclose(recording.rate_hz, truth.muap_rate_hz, rel_tol=1e-9):
        raise ValueError(
            f"recording.rate_hz must be the truth's muap_rate_hz ({truth.muap_rate_hz:g}) when no "
            f"render is given, got {recording.rate_hz:g}"
        )
    samples = np.zeros(recording.n_samples)
    add_train(samples, recording.rate_hz, recording.start_s, unit)
    return samples

"""Motor unit action potentials as the electrode saw them: averages of the unfiltered recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.conditioning import bridged
from emgsim.analysis.learning import Unit, relearned, unit_at
from emgsim.recording import Recording

Floats = NDArray[np.float64]

BEFORE_S, AFTER_S = 0.010, 0.015  # long enough for most satellites


def averaged(recording: Recording, trains_s: list[Floats]) -> list[Floats]:
    """Average each unit's potentials with the other units subtracted.

    Parameters
    ----------
    recording
        Unfiltered.
    trains_s
        Discharge times of each unit.

    Returns
    -------
    list of ndarray
        Shape ``(n_muap_samples, n_channels)`` each, its first sample ``BEFORE_S`` before the
        discharge.
    """
    before, after = (round(s * recording.rate_hz) for s in (BEFORE_S, AFTER_S))
    at = [(t - recording.start_s) * recording.rate_hz for t in trains_s]
    columns = []
    for channel in range(len(recording.channels)):
        samples = recording.samples_uv[:, channel]
        if not np.isfinite(samples).any():
            columns.append([np.full(before + after, np.nan) for _ in at])
            continue
        units: tuple[Unit, ...] = tuple(unit_at(p, before + after) for p in at)
        learned, _ = relearned(bridged(samples), units, before)
        columns.append([unit.template for unit in learned])
    return [np.column_stack(shapes) for shapes in zip(*columns, strict=True)]


def start_s(rate_hz: float) -> float:
    """Return the time of a MUAP's first sample relative to its discharge."""
    return -round(BEFORE_S * rate_hz) / rate_hz

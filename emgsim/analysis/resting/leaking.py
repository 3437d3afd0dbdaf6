"""The noise of end plates: where the floor is tilted to the negative."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emgsim.analysis.conditioning import Conditioned, Floats
from emgsim.analysis.resting.episodes import Episode, filled

SPIKE = 8.0  # of the white signal; what is around is no floor
BESIDE_S = (0.004, 0.025)  # before and after a spike
CELL_S = 0.5
LEAST_QUIET = 0.04  # share of a cell that must be left beside spikes
LEAST_HEARD = 0.5  # share of a cell that is not hidden by artefacts
TILTED = -0.17  # of the quantiles of the floor; Gaussian noise has none, sharp waves' tails -0.1
OUTER = 0.03
SMALLEST_UV = 5.0  # between the outer quantiles; an amplifier's noise has 4
LARGEST_UV = 80.0  # between the outer quantiles; potentials are 10-50 uV, of cramps 500
SPIKY_S = 2.0  # spikes may leave no floor for so long
MURMURS = 3.0  # upper quartile of the white signal: more is a fast train of large potentials


def end_plate_noise(signal: Conditioned, white: Conditioned) -> list[Episode]:
    """Return where the floor is tilted to the negative: shot noise of small monophasic potentials.

    Parameters
    ----------
    signal
        Conditioned, not white.
    white
        The same, white: it tells where spikes stand out.
    """
    rate_hz = signal.rate_hz
    loud = np.abs(white.samples) > SPIKE
    before, after = (round(s * rate_hz) for s in BESIDE_S)
    spiky = ndimage.maximum_filter1d(
        loud.astype(np.uint8), before + after + 1, origin=(before - after) // 2
    )
    calm = (spiky == 0) & signal.usable
    length = round(CELL_S * rate_hz)
    n = max(1, signal.samples.size // length)
    tilted = np.zeros(n, dtype=bool)
    for k in range(n):
        part = slice(k * length, (k + 1) * length if k < n - 1 else signal.samples.size)
        floor = signal.samples[part][calm[part]]
        heard = float(np.mean(signal.usable[part])) > LEAST_HEARD
        if heard and floor.size > LEAST_QUIET * length and _is_tilted(floor):
            tilted[k] = float(np.quantile(np.abs(white.samples[part]), 0.75)) < MURMURS
    tilted = ndimage.median_filter(tilted, 5, mode="nearest") if n >= 5 else tilted
    labels, _ = ndimage.label(filled(tilted, round(SPIKY_S / CELL_S)))
    return [
        Episode(first=int(where.start) * length, last=min(int(where.stop) * length, calm.size))
        for (where,) in ndimage.find_objects(labels)
    ]


def _is_tilted(floor_uv: Floats) -> bool:
    """Tell whether a floor is tilted to the negative, and as large as end-plate noise is."""
    low, middle, high = np.quantile(floor_uv, [OUTER, 0.5, 1 - OUTER])
    tilt = (high + low - 2 * middle) / max(high - low, 1e-9)
    return bool(tilt < TILTED and SMALLEST_UV < high - low < LARGEST_UV)

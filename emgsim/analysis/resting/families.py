"""Families of potentials at rest, and where a white signal holds any of them."""

from __future__ import annotations

import numpy as np
from scipy.signal import oaconvolve

from emgsim.analysis.conditioning import Floats

AROUND_S = (0.003, 0.005)  # of a family's member, before and after its main peak
SPIKE_WIDTHS_MS = (0.15, 0.25, 0.4, 0.7)  # SD of the Gaussian that a spike is a derivative of
SHARP_WIDTHS_MS = (0.35, 0.6, 1.0)  # of a positive sharp wave's main phase
TAIL_MS = 4.0


def members(rate_hz: float) -> Floats:
    """Return one shape of unit energy per row: spikes of both orders, single peaks, sharp waves.

    They are of either sign, since a signal is correlated with them and its size taken.
    """
    before, after = (round(s * rate_hz) for s in AROUND_S)
    t_ms = 1e3 * np.arange(-before, after + 1) / rate_hz
    shapes = []
    for width in SPIKE_WIDTHS_MS:
        u = t_ms / width
        bell = np.exp(-(u**2) / 2)
        shapes += [bell, u * bell, (1 - u**2) * bell]
    for width in SHARP_WIDTHS_MS:
        bell = np.exp(-((t_ms / width) ** 2) / 2)
        tail = np.where(t_ms > 0, (1 - np.exp(-t_ms / width)) * np.exp(-t_ms / TAIL_MS), 0.0)
        shapes.append(bell - 0.25 * tail)
    found = np.array(shapes)
    return np.asarray(found / np.sqrt(np.sum(found**2, axis=1, keepdims=True)))


def correlations(samples: Floats, shapes: Floats, before: int) -> Floats:
    """Return the correlation of a signal with every shape, shape ``(n_shapes, n)``.

    Column ``i`` has the shapes' column ``before`` at sample ``i``.
    """
    first = shapes.shape[1] - 1 - before
    rows = [oaconvolve(samples, shape[::-1])[first : first + samples.size] for shape in shapes]
    return np.array(rows)


def strongest(samples: Floats, rate_hz: float) -> Floats:
    """Return at every sample the largest size of correlation with any member of the families."""
    best = np.zeros(samples.size)
    before = round(AROUND_S[0] * rate_hz)
    for shape in members(rate_hz):
        np.maximum(best, np.abs(correlations(samples, shape[None], before)[0]), out=best)
    return best

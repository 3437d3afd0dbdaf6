"""Many sources at once by fixed-point iterations (Hyvarinen & Oja 1997; Negro et al. 2016).

All candidates of a round share each product of matrices, which costs a tenth of as many products
with one vector. Nothing keeps the candidates apart: several may end in one unit, and one is kept.
Each has one of a few fixed exponents of its contrast; which suits best depends on the statistics of
the amplitudes (Grison et al. 2025, arXiv 2410.14800; Klotz & Rohlen 2025, arXiv 2502.04065).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Floats32 = NDArray[np.float32]
Integers = NDArray[np.int64]

ITERATIONS = 25
CONVERGED = 1e-3  # of 1 less the cosine to the filter before; refinement does the rest
MOST_ACTIVE = 1 / 3  # of the peaks of activity, from which the first filters come
APART_S = 0.01  # between peaks of activity


def first_filters(white: Floats32, rate_hz: float, n: int, rng: np.random.Generator) -> Floats32:
    """Return whitened vectors from different peaks of the activity index, ``(n, n_white)``.

    The activity index is the squared length of the whitened vector (Holobar & Zazula 2007): it is
    high where units discharge, above all where several do.
    """
    activity = np.einsum("ij,ij->i", white, white)
    peaks, _ = signal.find_peaks(activity, distance=max(1, round(APART_S * rate_hz)))
    ordered = peaks[np.argsort(-activity[peaks], kind="stable")]
    highest = ordered[: max(n, round(MOST_ACTIVE * ordered.size))]
    chosen = rng.choice(highest, size=min(n, highest.size), replace=False)
    return np.asarray(white[chosen])


def independent(white: Floats32, filters: Floats32, exponents: Integers) -> Floats32:
    """Return the filters to which fixed-point iterations lead.

    Parameters
    ----------
    white
        Whitened vectors, shape ``(n_samples, n_white)``.
    filters, exponents
        Where to begin, ``(n, n_white)``, and the exponent of each contrast's derivative, ``(n,)``:
        2 is skewness, 3 kurtosis.

    Returns
    -------
    numpy.ndarray
        Filters of unit length, their sources skewed upwards.
    """
    filters = _unit_length(filters)
    active = np.arange(len(filters))
    for _ in range(ITERATIONS):
        before = filters[active]
        after = _step(white, before, exponents[active])
        filters[active] = after
        active = active[np.abs(np.sum(after * before, axis=1)) < 1 - CONVERGED]
        if active.size == 0:
            break
    sources = filters @ white.T
    skewness = np.sum(sources * np.square(sources), axis=1)
    return np.asarray(filters * np.where(skewness < 0, -1, 1)[:, None], dtype=np.float32)


def _step(white: Floats32, filters: Floats32, exponents: Integers) -> Floats32:
    """Return the filters after one fixed-point step: E[z g(s)] - E[g'(s)] w."""
    sources = filters @ white.T
    slope = np.empty((len(filters), 1), np.float32)
    for source, exponent, out in zip(sources, exponents, slope, strict=True):
        lower = source.copy()
        for _ in range(exponent - 2):
            lower *= source
        out[0] = exponent * lower.mean()
        np.multiply(source, lower, out=source)
    return _unit_length(sources @ white / np.float32(len(white)) - slope * filters)


def _unit_length(filters: Floats32) -> Floats32:
    """Return the filters scaled to length 1."""
    return np.asarray(filters / np.linalg.norm(filters, axis=1, keepdims=True))

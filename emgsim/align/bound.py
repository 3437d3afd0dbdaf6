"""The smallest errors that any unbiased estimator of a clock can have, after Cramer and Rao.

A recorder's sample k is ``gain w(t_k) + noise``, ``t_k = offset + k (1 + drift) / rate``, for a
known waveform w and white Gaussian noise of standard deviation s. The Fisher matrix of gain, offset
and drift is then ``J^T J / s^2``, where J has the columns ``w(t_k)``, ``gain w'(t_k)`` and
``gain w'(t_k) k / rate``: the known waveform and its slope at the samples. Corners of a filter add
a column each, the waveform's derivative. No unbiased estimator has a covariance below the inverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgsim.align.fitting import Deviations, Shaped, by_unknown, deviations_of, products, solve

Floats = NDArray[np.float64]


def cramer_rao(
    shaped: Shaped, rate_hz: float, n_samples: int, unknowns: Floats, noise_rms: float
) -> Deviations:
    """Return the bound on the standard deviations of a clock that is fitted to a recording.

    Parameters
    ----------
    shaped
        The waveform, with its derivatives by whatever else is unknown.
    rate_hz, n_samples
        Of the recording.
    unknowns
        True gain, offset, drift, and 0 for each of the others.
    noise_rms
        Of white Gaussian noise, in the waveform's unit.
    """
    by = by_unknown(unknowns)
    sums = products(np.zeros(n_samples), rate_hz, shaped, unknowns)[:-1, :-1]
    fisher = sums * np.outer(by, by) / noise_rms**2
    return deviations_of(solve(fisher, np.eye(unknowns.size)), 0.5 * n_samples / rate_hz)

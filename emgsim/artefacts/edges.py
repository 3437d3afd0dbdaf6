"""Sudden edges at any rate without fold-back: band-limited steps that stay or decay.

Pulses and pops are sums of such edges. Each is the ideal edge seen through a linear-phase low-pass
that passes 0.40 of the rate and stops by 80 dB at 0.50, as the decimation filter of a sigma-delta
converter does; it rings for `HALF_WIDTH` samples on either side of the edge.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Floats = NDArray[np.float64]

HALF_WIDTH = 26  # samples; with Kaiser's 8.0 it makes the low-pass above
FINE = 512  # table points per sample; linear between them is exact to 1e-6
DECAYED = 14.0  # time constants after which an edge is over: 1e-6 of it is left


def lead_s(rate_hz: float) -> float:
    """Return the time by which an edge's ringing comes before it."""
    return HALF_WIDTH / rate_hz


def edge(times_s: Floats, rate_hz: float, tau_s: float = np.inf) -> Floats:
    """Return a unit step at 0 s that decays with a time constant, free of fold-back.

    Parameters
    ----------
    times_s
        Shape ``(n,)``: seconds after the edge.
    rate_hz
        Rate at which these times are sampled.
    tau_s
        Time constant of the decay; infinite for a step that stays.

    Examples
    --------
    >>> far = edge(np.array([-0.1, 0.1]), 1_000.0)
    >>> np.round(far, 4).tolist()
    [0.0, 1.0]
    """
    position = times_s * rate_hz
    table = _table(tau_s * rate_hz)
    near = np.interp(position, _positions(), table, left=0.0)
    late = table[-1] * np.exp(-np.maximum(position - HALF_WIDTH, 0.0) / (tau_s * rate_hz))
    return np.asarray(np.where(position > HALF_WIDTH, late, near), dtype=np.float64)


def rise_and_decay(times_s: Floats, rate_hz: float, rise_s: float, decay_s: float) -> Floats:
    """Return a pulse of peak 1 from 0 s on: the difference of two decays; rise_s < decay_s."""
    ratio = rise_s / decay_s
    peak = ratio ** (ratio / (1 - ratio)) - ratio ** (1 / (1 - ratio))
    rising = edge(times_s, rate_hz, decay_s) - edge(times_s, rate_hz, rise_s)
    return np.asarray(rising / peak, dtype=np.float64)


def rectangle(times_s: Floats, rate_hz: float, width_s: float) -> Floats:
    """Return a rectangle of height 1 from 0 s on."""
    return edge(times_s, rate_hz) - edge(times_s - width_s, rate_hz)


@lru_cache(maxsize=1)
def _positions() -> Floats:
    return np.arange(-HALF_WIDTH * FINE, HALF_WIDTH * FINE + 1) / FINE


@lru_cache(maxsize=1)
def _lowpass() -> Floats:
    """Return the low-pass's response to an impulse, of area 1 per sample."""
    x = _positions()
    response = 0.9 * np.sinc(0.9 * x) * np.kaiser(x.size, 8.0)
    return np.asarray(response / (response.sum() / FINE), dtype=np.float64)


@lru_cache(maxsize=64)
def _table(tau_samples: float) -> Floats:
    """Return the edge's values at `_positions`: the low-pass convolved with the decaying step."""
    response = _lowpass()
    decay = np.exp(-1 / (FINE * tau_samples))
    # Trapezoids: of each interval's input the earlier end has decayed, the later one has not.
    table = signal.lfilter([0.5 / FINE, decay * 0.5 / FINE], [1, -decay], response)
    return np.asarray(table, dtype=np.float64)

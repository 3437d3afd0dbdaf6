"""Channels that were aligned each on its own, put together on one clock.

Each pass has sample times of its own: the recorder began anew, at another fraction of a sample. One
recording has one grid, so this is the one place at which samples are interpolated: by a sinc
in a Kaiser window, from the samples as they were sent, also those before and after the excerpt. A
value near a lost sample would rest on what nobody has, and is lost too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import i0

from emgsim.chain import Path
from emgsim.files.content import gaps_of
from emgsim.recording import Channel, Recording

Floats = NDArray[np.float64]

HALF_TAPS = 24  # samples on either side that a value rests on
KAISER_BETA = 8.0  # [C] the error is 1e-4 of a sine up to 0.43 of the rate, a Quattrocento's corner
PHASES = 1024  # fractions of a sample at which the weights are known; between them they are linear
TAPS = np.arange(1 - HALF_TAPS, HALF_TAPS + 1)
BLOCK = 4096  # values at a time, so that their weights stay in the cache


def on_grid(uv: Floats, path: Path, rate_hz: float, duration_s: float) -> Floats:
    """Return what a recorder saw at every ``1 / rate_hz`` from 0 s of the excerpt's clock.

    Parameters
    ----------
    uv
        All that the recorder sent of the pass, shape ``(n,)``, NaN where samples were lost.
    path
        The excerpt in it, aligned.
    rate_hz
        Of the grid: the recorder's nominal rate.
    duration_s
        Of the excerpt.

    Returns
    -------
    ndarray
        Shape ``(ceil(duration_s * rate_hz),)``; NaN near a loss.
    """
    recording = path.recording
    times_s = np.arange(int(np.ceil(duration_s * rate_hz - 1e-6))) / rate_hz
    return interpolated(uv, (times_s - recording.start_s) * recording.rate_hz + path.first_sample)


def assembled(columns: Sequence[Floats], channels: Sequence[Channel], rate_hz: float) -> Recording:
    """Return channels on one grid as one recording that begins at 0 s.

    Parameters
    ----------
    columns
        Of `on_grid`, one for each channel.
    channels
        What they are.
    rate_hz
        Of the grid.
    """
    samples_uv = np.stack(columns, axis=1)
    return Recording(
        samples_uv=samples_uv, rate_hz=rate_hz, channels=tuple(channels), gaps=gaps_of(samples_uv)
    )


def interpolated(samples: Floats, places: Floats) -> Floats:
    """Return the values of a band-limited signal between its samples.

    Parameters
    ----------
    samples
        Shape ``(n_samples,)``; NaN where one is missing.
    places
        Shape ``(n,)``, in samples.

    Returns
    -------
    ndarray
        Shape ``(n,)``; NaN where one of the `HALF_TAPS` samples on either side is missing.
    """
    padded = np.pad(samples, HALF_TAPS, constant_values=np.nan)
    weights_of = _weights()
    values = np.empty(places.size)
    for first in range(0, places.size, BLOCK):
        block = slice(first, first + BLOCK)
        floors = np.floor(places[block])
        phases = (places[block] - floors) * PHASES
        below = phases.astype(np.int64)
        share = (phases - below)[:, None]
        weights = weights_of[below] * (1 - share) + weights_of[below + 1] * share
        inside = (floors >= 0) & (floors < samples.size)
        rows = np.where(inside, floors, 0).astype(np.int64)[:, None] + HALF_TAPS + TAPS
        values[block] = np.where(inside, np.einsum("nk,nk->n", padded[rows], weights), np.nan)
    return values


def _weights() -> Floats:
    """Return the weights of the taps at each fraction, shape ``(PHASES + 1, 2 HALF_TAPS)``."""
    distances = TAPS - np.arange(PHASES + 1)[:, None] / PHASES
    inside = np.clip(1.0 - (distances / HALF_TAPS) ** 2, 0.0, None)
    weights = np.sinc(distances) * i0(KAISER_BETA * np.sqrt(inside))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))

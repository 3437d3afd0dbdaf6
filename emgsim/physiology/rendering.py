"""Discharges into samples: every voice of a motor unit at its own time, at any sampling rate.

A *voice* is a waveform that sounds at each discharge: one near fibre, which jitters and may be
blocked, or all far fibres together. Waves stand on a grid a whole number of times finer than the
samples, and are read between its points by Lagrange's polynomial through six of them: at 96 kHz
it errs by 6e-6 of the amplitude at 5 kHz and by 4e-4 at 10 kHz, where a needle potential has
little left.

Each sample is the sum of the same terms in the same order however the samples are cut into
blocks, so any block size gives the same bytes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.compiling import compiled

Floats = NDArray[np.float64]

TAPS = 6
BEFORE, AFTER = 2, 3  # points of the polynomial before and after the one at or below the instant


def lagrange_weights(share: float) -> Floats:
    """Return the weights of six points in a row for an instant ``share`` (0..1) after the third.

    The readable form; the kernel writes the products out.
    """
    points = np.arange(-BEFORE, AFTER + 1)
    return np.array(
        [np.prod([(share - o) / (p - o) for o in points if o != p]) for p in points], np.float64
    )


def polyphase(waves: Floats, oversampling: int) -> Floats:
    """Return waves ``(n_voices, n)`` as ``(n_voices, oversampling, n_rows)``, padded with zeros.

    Row m of phase j is the wave's point ``m oversampling + j - BEFORE``: what one discharge adds
    to samples in a row lies in a row.
    """
    n_voices, n = waves.shape
    n_rows = math.ceil((n + BEFORE + AFTER) / oversampling) + TAPS
    padded = np.zeros((n_voices, n_rows * oversampling))
    padded[:, BEFORE : BEFORE + n] = waves
    return np.ascontiguousarray(
        padded.reshape(n_voices, n_rows, oversampling).transpose(0, 2, 1), dtype=np.float64
    )


@compiled
def add_discharges(
    out: Floats,
    first_sample: int,
    phases: Floats,
    start: float,
    instants: Floats,
    weights: Floats,
) -> None:
    """Add every voice of every discharge to a block of samples.

    Parameters
    ----------
    out
        Shape ``(n_samples,)``: the block, added to in place.
    first_sample
        Number of the block's first sample since time zero.
    phases
        Shape ``(n_voices, oversampling, n_rows)``, of `polyphase`.
    start
        Where the waves begin after the instant, in samples; may be negative.
    instants
        Shape ``(n_discharges, n_voices)``: when each voice sounds, in samples since time zero;
        NaN: it is silent at that discharge.
    weights
        Shape ``(n_discharges,)``: factor on all voices of a discharge.
    """
    n_voices, oversampling, n_rows = phases.shape
    last_sample = first_sample + out.size
    for d in range(instants.shape[0]):
        for v in range(n_voices):
            instant = instants[d, v]
            if not math.isfinite(instant):
                continue
            begin = instant + start
            sample = math.ceil(begin)
            if sample >= last_sample or sample + n_rows <= first_sample:
                continue
            place = (sample - begin) * oversampling  # of that sample on the waves' grid
            point = min(math.floor(place), oversampling - 1)
            x = place - point
            a, b, c = x + 2.0, x + 1.0, x - 1.0
            e, f = x - 2.0, x - 3.0
            gain = weights[d]
            w0 = gain * b * x * c * e * f / -120.0
            w1 = gain * a * x * c * e * f / 24.0
            w2 = gain * a * b * c * e * f / -12.0
            w3 = gain * a * b * x * e * f / 12.0
            w4 = gain * a * b * x * c * f / -24.0
            w5 = gain * a * b * x * c * e / 120.0
            skip = max(first_sample - sample, 0)
            n = min(n_rows - 6, last_sample - sample) - skip
            if n <= 0:
                continue
            target = out[sample + skip - first_sample :]
            wave = phases[v]
            r0 = wave[point % oversampling, point // oversampling + skip :]
            r1 = wave[(point + 1) % oversampling, (point + 1) // oversampling + skip :]
            r2 = wave[(point + 2) % oversampling, (point + 2) // oversampling + skip :]
            r3 = wave[(point + 3) % oversampling, (point + 3) // oversampling + skip :]
            r4 = wave[(point + 4) % oversampling, (point + 4) // oversampling + skip :]
            r5 = wave[(point + 5) % oversampling, (point + 5) // oversampling + skip :]
            for k in range(n):
                target[k] += (
                    w0 * r0[k] + w1 * r1[k] + w2 * r2[k] + w3 * r3[k] + w4 * r4[k] + w5 * r5[k]
                )

"""Rest and contraction: when the muscle is quiet and when it works."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from emgsim.analysis.conditioning import Conditioned
from emgsim.recording import Event

Floats = NDArray[np.float64]

BLOCK_S = 0.02
BRIDGED_S = 0.35  # a silence this short between two discharges of one unit is no rest
SHORTEST_S = 0.2
CONTRAST = 3.0  # a contraction is at least this much louder than rest


def segmented(
    signal: Conditioned, span_s: tuple[float, float], *, active: bool
) -> tuple[Event, ...]:
    """Tell rest from contraction by the loudness of the filtered signal.

    Parameters
    ----------
    signal
        Band-passed, not whitened.
    span_s
        Begin and end of the recording.
    active
        Whether motor units were found; decides what a signal of one loudness is.
    """
    length = max(1, round(BLOCK_S * signal.rate_hz))
    n = signal.samples.size // length
    if n == 0:
        return ()
    pieces = signal.samples[: n * length].reshape(n, length)
    peak = np.sqrt(np.mean(pieces**2, axis=1))
    envelope = ndimage.maximum_filter1d(peak, max(3, round(0.14 / BLOCK_S)))
    loud = _louder_half(envelope)
    working = np.full(n, active) if loud is None else loud & active
    working = ndimage.binary_closing(
        np.pad(working, 20, mode="edge"), iterations=max(1, round(BRIDGED_S / BLOCK_S / 2))
    )[20:-20]
    working = _without_short(working, round(SHORTEST_S / BLOCK_S))
    return _events(working, length, signal, span_s)


def _louder_half(envelope: Floats) -> NDArray[np.bool_] | None:
    """Split blocks into quiet and loud by Otsu's rule on the logarithm; None for one kind."""
    floor = max(1e-4 * float(envelope.max()), 1e-12)
    log = np.log(np.maximum(envelope, floor))
    ranked = np.sort(log)
    n = ranked.size
    below = np.cumsum(ranked)[:-1] / np.arange(1, n)
    above = (ranked.sum() - np.cumsum(ranked)[:-1]) / np.arange(n - 1, 0, -1)
    if n < 3:
        return None
    share = np.arange(1, n) / n
    between = share * (1 - share) * (above - below) ** 2
    cut = int(np.argmax(between))
    if above[cut] - below[cut] < np.log(CONTRAST):
        return None
    return np.asarray(log > 0.5 * (above[cut] + below[cut]))


def _without_short(working: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    labels, n = ndimage.label(working)
    sizes = np.bincount(labels.ravel(), minlength=n + 1)
    keep = sizes >= shortest
    keep[0] = False
    return np.asarray(keep[labels])


def _events(
    working: NDArray[np.bool_], length: int, signal: Conditioned, span_s: tuple[float, float]
) -> tuple[Event, ...]:
    changes = np.flatnonzero(np.diff(working.astype(np.int8))) + 1
    inner_s = signal.start_s + changes * length / signal.rate_hz
    edges_s = [span_s[0], *inner_s.tolist(), span_s[1]]
    kinds = ["contraction" if working[at] else "rest" for at in (0, *changes)]
    return tuple(
        Event(kind=kind, onset_s=onset_s, offset_s=offset_s, source="analysis")
        for kind, (onset_s, offset_s) in zip(kinds, pairwise(edges_s), strict=True)
    )

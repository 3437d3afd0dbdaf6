"""Two long sines, by which the clocks of source and device, channels and samples are told.

They are read window by window: phases that turn steadily tell the clocks, and phases that jump
tell lost samples. Their frequencies are in the golden ratio, so that no number of samples that is
likely to get lost is whole turns of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgsim.metrology.acquisition import Acquired
from emgsim.metrology.setup import Setup
from emgsim.metrology.sines import chord, named, played_tones, slack_s, stimulus_of
from emgsim.metrology.stimulus import Stimulus

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

LONG_S = 3.0
LONG_SHARE = 0.35  # of the range, each
LOWER_AT, GOLDEN = 4.7, (1 + math.sqrt(5)) / 2  # of mid-band, and of the other
WINDOW_TURNS = 10.0  # of the lower sine in one window
LONGEST_GAP = 2000  # samples that can be lost unnoticed and still be counted
PHASE_MARGIN = 0.25  # of one sample's phase: what a window's phase may be off


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Two long sines, window by window, as one channel or several said them.

    Attributes
    ----------
    times_s
        Of the windows' middles on the device's nominal clock, shape ``(n_windows,)``.
    first_samples
        Of each window, counted from the recording's first.
    n_samples
        In a window.
    tones
        Phases turn against the played ones as the clocks differ and samples get lost, shape
        ``(2, n_windows, n_channels)``; NaN where a sample of the window is.
    """

    times_s: Floats
    first_samples: NDArray[np.int64]
    n_samples: int
    tones: Complexes


def long_stimulus(setup: Setup) -> Stimulus:
    """Return two long sines together, by which clocks, channels and samples are told."""
    share_uv = LONG_SHARE * setup.device.range_uv
    low_hz, high_hz = long_hz(setup)
    core_s = max(LONG_S, 300 / low_hz)
    return stimulus_of(
        setup, "long", [chord(setup, "long", {low_hz: share_uv, high_hz: share_uv}, core_s)]
    )


def long_hz(setup: Setup) -> tuple[float, float]:
    """Return the frequencies of the two long sines."""
    low_hz = min(LOWER_AT * setup.mid_hz, 0.45 * setup.device.band_hz[1])
    return low_hz, GOLDEN * low_hz


@lru_cache(maxsize=2)
def windows_of(acquired: Acquired) -> Windows:
    """Fit both sines in every window of the long stimulus, all channels at once."""
    segment = named(acquired, "long")
    edge_s = segment.facts["ramp_s"] + slack_s(acquired.rate_hz)
    first = math.ceil((segment.begins_s + edge_s - acquired.begins_s) * acquired.rate_hz)
    last = math.floor((segment.ends_s - edge_s - acquired.begins_s) * acquired.rate_hz)
    uv = acquired.uv[max(0, first) : last]
    frequencies_hz = played_tones(segment)[0]
    n = max(16, round(WINDOW_TURNS / frequencies_hz[0] * acquired.rate_hz))
    n_windows = uv.shape[0] // n
    cut = uv[: n_windows * n].reshape(n_windows, n, -1)
    t = (np.arange(n) - 0.5 * (n - 1)) / acquired.rate_hz
    angles = 2 * np.pi * np.multiply.outer(t, frequencies_hz)
    basis = np.hstack([np.ones((n, 1)), np.cos(angles), np.sin(angles)])
    weights = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2  # Hann's, as harmonics lie between
    solver = np.linalg.solve((basis * weights[:, None]).T @ basis, (basis * weights[:, None]).T)
    solved = np.einsum("kn,wnc->kwc", solver, cut)
    tones = solved[1:3] - 1j * solved[3:5]
    firsts = max(0, first) + n * np.arange(n_windows)
    times_s = acquired.begins_s + (firsts + 0.5 * (n - 1)) / acquired.rate_hz
    turn = np.exp(-2j * np.pi * np.multiply.outer(frequencies_hz, times_s))
    return Windows(
        times_s=times_s, first_samples=firsts, n_samples=n, tones=tones * turn[:, :, None]
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """Which windows of the long sines are whole, and what got lost between them unnoticed.

    Attributes
    ----------
    windows
        Their numbers, shape ``(n,)``.
    turns_lost
        Turns of both sines in what got lost before each of them, shape ``(2, n)``.
    jumps
        First sample after each place, counted from the recording's first, and how many were lost
        there; negative: sent twice.
    """

    windows: NDArray[np.int64]
    turns_lost: Floats
    jumps: tuple[tuple[int, int], ...]


@lru_cache(maxsize=2)
def track_of(acquired: Acquired) -> Track:
    """Follow the phases of the long sines in the first channel from window to window."""
    windows = windows_of(acquired)
    frequencies_hz = played_tones(named(acquired, "long"))[0]
    tones = windows.tones[:, :, 0]
    usable = np.flatnonzero(np.isfinite(tones).all(axis=0))
    steps = np.angle(tones[:, 1:] * np.conj(tones[:, :-1]))
    steady = np.nanmedian(steps, axis=1)
    turns = frequencies_hz / acquired.rate_hz + steady / (2 * np.pi * windows.n_samples)
    scatter = 1.5 * np.nanmedian(np.abs(steps - steady[:, None]), axis=1)
    margin = np.minimum(PHASE_MARGIN * 2 * np.pi * turns, 6 * scatter + 1e-4)
    kept, counts, jumps = [int(usable[0])], [0], []
    for here, following in zip(usable[1:], [*usable[2:], usable[-1]], strict=True):
        n = [
            _samples_in(
                np.angle(tones[:, k] * np.conj(tones[:, kept[-1]])) - steady * (k - kept[-1]),
                turns,
                margin,
            )
            for k in (here, following)
        ]
        if n[0] is None or (n[0] and n[0] != n[1]):
            continue  # a jump lies within it
        if n[0]:
            jumps.append((_place(acquired, windows, kept[-1], int(here)), n[0]))
        kept.append(int(here))
        counts.append(counts[-1] + n[0])
    return Track(
        windows=np.array(kept), turns_lost=np.multiply.outer(turns, counts), jumps=tuple(jumps)
    )


def _samples_in(jumps_rad: Floats, turns_per_sample: Floats, margin: Floats) -> int | None:
    """Return how many samples make both phases jump so; None if no number of them does."""
    n = np.arange(-LONGEST_GAP, LONGEST_GAP + 1)
    expected = 2 * np.pi * np.multiply.outer(n, turns_per_sample)
    off = np.max(np.abs(np.angle(np.exp(1j * (jumps_rad - expected)))) / margin, axis=1)
    if off[LONGEST_GAP] <= 1:
        return 0
    best = int(np.argmin(off))
    return int(n[best]) if off[best] <= 1 else None


def _place(acquired: Acquired, windows: Windows, before: int, after: int) -> int:
    """Return at which sample the sines of two whole windows meet best."""
    frequencies_hz = played_tones(named(acquired, "long"))[0]
    first, end = windows.first_samples[before], windows.first_samples[after] + windows.n_samples
    samples = acquired.uv[first:end, 0]
    times_s = acquired.begins_s + np.arange(first, end) / acquired.rate_hz
    turns = np.exp(2j * np.pi * np.multiply.outer(frequencies_hz, times_s))
    sums = []
    for window in (before, after):
        left = samples - (windows.tones[:, window, :1] * turns).real.sum(axis=0)
        left = left - np.nanmedian(left)
        sums.append(np.concatenate([[0.0], np.cumsum(np.nan_to_num(left) ** 2)]))
    return int(first + np.argmin(sums[0] - sums[1]))

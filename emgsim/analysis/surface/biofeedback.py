"""A signal to train by: how strongly a muscle works, a stated time after it does.

Samples come in blocks of any size; the values do not depend on it. A causal band-pass, the mean of
the rectified signal over a window that ends now, in percent of the maximum or in decibels. The mean
of rectified samples is linear in their size: after a step it is half way up when half the window
has passed, which an rms is at a quarter. So its latency can be stated:

    group delay of the band-pass + half the window.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from emgsim.analysis.surface.filtering import BAND_HZ

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Scale = Literal["percent", "decibel"]

WINDOW_S = 0.15  # stated latency is then below 0.1 s, the target for an index to be guided by
LONGEST_WINDOW_S = 0.25
STEP_S = 0.002  # between values
FILTER_ORDER = 2  # higher ones ring, and delay what is near their edges
TYPICAL_HZ = (60.0, 120.0)  # where surface EMG has its median frequency [M]
ARTEFACT_RATIO = 8.0  # of a sample to the mean rectified maximum: 6 SD, of which noise has none
STILL_S = 0.02  # a cut cable or an amplifier at its end gives the same sample for so long
SETTLED_S = 0.06  # of the band-pass after an artefact: what is left of it is then below 1 %
FLOOR_DB = -60.0  # of the maximum: below is no muscle, and nothing has no logarithm


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of the feedback.

    ``time_s`` is when the last of its samples was taken. ``is_held`` tells that it repeats the
    last value that could be trusted, while the window holds an artefact.
    """

    time_s: float
    value: float
    is_held: bool


class Feedback:
    """The feedback of one channel, block by block.

    Parameters
    ----------
    rate_hz
        Sampling rate, 500 Hz or more.
    mvc_uv
        Mean rectified value of the maximal voluntary contraction, which is 100 % or 0 dB.
    window_s
        0.02 to 0.25 s.
    scale
        ``"percent"`` or ``"decibel"``.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> feedback = Feedback(2000.0, 100.0)
    >>> noise = 50 * np.sqrt(np.pi / 2) * np.random.default_rng(1).standard_normal(4000)
    >>> values = [value for block in np.split(noise, 40) for value in feedback.step(block)]
    >>> len(values), feedback.latency_s < 0.1
    (1000, True)
    """

    def __init__(
        self,
        rate_hz: float,
        mvc_uv: float,
        *,
        window_s: float = WINDOW_S,
        scale: Scale = "percent",
    ) -> None:
        if not (np.isfinite(rate_hz) and rate_hz >= 500):
            raise ValueError(f"rate_hz must be 500 or more, got {rate_hz}")
        if not (np.isfinite(mvc_uv) and mvc_uv > 0):
            raise ValueError(f"mvc_uv must be finite and > 0, got {mvc_uv}")
        if not 0.02 <= window_s <= LONGEST_WINDOW_S:
            raise ValueError(f"window_s must be 0.02 to {LONGEST_WINDOW_S:g} s, got {window_s}")
        if scale not in ("percent", "decibel"):
            raise ValueError(f"scale must be 'percent' or 'decibel', got {scale!r}")
        self._rate_hz, self._mvc_uv, self._scale = rate_hz, mvc_uv, scale
        self._hop = max(1, round(STEP_S * rate_hz))
        n = max(1, round(window_s * rate_hz / self._hop))
        self._means_uv = deque([0.0] * n, maxlen=n)
        self._hold = n + round(SETTLED_S * rate_hz / self._hop)
        self._tainted = self._hold  # hops until the window holds no artefact, nor the beginning
        edges_hz = (BAND_HZ[0], min(BAND_HZ[1], 0.45 * rate_hz))
        self._sos = signal.butter(FILTER_ORDER, edges_hz, "bandpass", fs=rate_hz, output="sos")
        self._state = np.zeros((len(self._sos), 2))
        self._offset_uv: float | None = None
        self._waiting = np.zeros(0)
        self._n_hops = 0
        self._last_uv = float("nan")  # sample before the hop
        self._still = 0  # how many samples were as the one before
        self._held = 0.0

    @property
    def latency_s(self) -> float:
        """Time from a step of the muscle's activity until half of it shows.

        Of activity at the median frequencies of surface EMG. The transport of blocks comes on top,
        and up to 2 ms until the next value.
        """
        frequencies = np.linspace(*TYPICAL_HZ, 61)
        _, response = signal.freqz_sos(self._sos, frequencies, fs=self._rate_hz)
        phase = np.unwrap(np.angle(response))
        delay_s = -np.mean(np.gradient(phase, frequencies)) / (2 * np.pi)
        return float(delay_s + 0.5 * len(self._means_uv) * self._hop / self._rate_hz)

    def step(self, samples_uv: Floats) -> tuple[Value, ...]:
        """Take samples, and return the values that have become due.

        Parameters
        ----------
        samples_uv
            Shape ``(n_samples,)``, of any length; NaN where samples are missing.

        Raises
        ------
        ValueError
            If the samples are no vector.
        """
        if samples_uv.ndim != 1:
            raise ValueError(f"samples_uv must be (n_samples,), got {samples_uv.shape}")
        return tuple(self._values(samples_uv))

    def _values(self, samples_uv: Floats) -> Iterator[Value]:
        waiting = np.concatenate([self._waiting, samples_uv])
        n = waiting.size // self._hop
        if n == 0:
            self._waiting = waiting
            return
        due_uv, self._waiting = waiting[: n * self._hop], waiting[n * self._hop :]
        hops_uv = due_uv.reshape(n, self._hop)
        rectified_uv = np.abs(self._filtered(due_uv)).reshape(n, self._hop)
        means_uv = np.add.accumulate(rectified_uv, axis=1)[:, -1] / self._hop  # in one order always
        is_odd = ~np.isfinite(hops_uv).all(axis=1)
        is_odd |= rectified_uv.max(axis=1) > ARTEFACT_RATIO * self._mvc_uv
        is_odd |= self._stands_still(due_uv).reshape(n, self._hop).any(axis=1)
        for mean_uv, odd in zip(means_uv.tolist(), is_odd.tolist(), strict=True):
            yield self._next(mean_uv, odd)

    def _next(self, mean_uv: float, is_odd: bool) -> Value:
        self._means_uv.append(mean_uv)
        self._tainted = self._hold if is_odd else max(0, self._tainted - 1)
        if not self._tainted:
            self._held = self._scaled(math.fsum(self._means_uv) / len(self._means_uv))
        self._n_hops += 1
        return Value(
            time_s=(self._n_hops * self._hop - 1) / self._rate_hz,
            value=self._held,
            is_held=self._tainted > 0,
        )

    def _filtered(self, samples_uv: Floats) -> Floats:
        """Return the band; a missing sample is as the offset, as if nothing were there."""
        present = np.isfinite(samples_uv)
        if self._offset_uv is None and present.any():
            self._offset_uv = float(samples_uv[present][0])  # electrodes carry many millivolts
        offset_uv = self._offset_uv or 0.0
        known = np.where(present, samples_uv, offset_uv) - offset_uv
        filtered, self._state = signal.sosfilt(self._sos, known, zi=self._state)
        return np.asarray(filtered)

    def _stands_still(self, samples_uv: Floats) -> Flags:
        """Mark samples that were the same for 20 ms."""
        is_same = np.diff(samples_uv, prepend=self._last_uv) == 0
        at = np.arange(1, is_same.size + 1)
        changed_at = np.maximum.accumulate(np.where(is_same, -self._still, at))
        still = at - changed_at
        self._last_uv, self._still = float(samples_uv[-1]), int(still[-1])
        return np.asarray(still >= STILL_S * self._rate_hz)

    def _scaled(self, mean_uv: float) -> float:
        share = mean_uv / self._mvc_uv
        if self._scale == "percent":
            return 100 * share
        return max(FLOOR_DB, 20 * math.log10(share)) if share > 0 else FLOOR_DB

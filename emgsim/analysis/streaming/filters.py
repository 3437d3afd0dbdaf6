"""The filters of a stream: those of a recording, cut to a stated delay and fed hop by hop."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from emgsim.analysis.conditioning import AROUND_GAP_S, RATE_PER_LOWPASS, Conditioned, band
from emgsim.analysis.plan import NeedlePlan

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HALF_S = 0.008  # of both filters: a 400-Hz high-pass has fallen to 1e-6 there
MOST_PHASES = 16  # of the change of rate
GRID = 65_536  # frequencies at which a filter is drawn


@dataclass(frozen=True, kw_only=True)
class Grid:
    """How a stream is cut: input samples and working samples of each hop.

    ``up`` working samples stand for ``down`` input samples; ``delay`` working samples is what each
    of the two filters waits for.
    """

    rate_hz: float
    up: int
    down: int
    hop: int  # input samples
    delay: int

    @property
    def work_hz(self) -> float:
        """Rate of the working samples."""
        return self.rate_hz * self.up / self.down

    @property
    def work_hop(self) -> int:
        """Working samples of a hop."""
        return self.hop * self.up // self.down

    @property
    def input_delay(self) -> int:
        """The first filter's delay in input samples."""
        return self.delay * self.down // self.up


def grid_of(rate_hz: float, plan: NeedlePlan, hop_s: float) -> Grid:
    """Choose the working rate as a simple fraction of the input's, and whole hops of both."""
    target = min(1.0, RATE_PER_LOWPASS * lowpass_of(rate_hz, plan) / rate_hz)
    ratio = Fraction(target).limit_denominator(MOST_PHASES)
    up, down = ratio.numerator, ratio.denominator
    blocks = max(1, round(hop_s * rate_hz / down))
    delay = up * round(HALF_S * rate_hz / down)
    return Grid(rate_hz=rate_hz, up=up, down=down, hop=blocks * down, delay=delay)


def lowpass_of(rate_hz: float, plan: NeedlePlan) -> float:
    """Return the upper edge of the band that a rate can carry."""
    return min(plan.lowpass_hz, 0.42 * rate_hz)


class BandPass:
    """The band-pass of a recording with a fixed delay, from the input's rate to the working rate.

    Parameters
    ----------
    grid
        Rates and hops.
    plan
        Gives the band.
    """

    def __init__(self, grid: Grid, plan: NeedlePlan) -> None:
        self.grid = grid
        fine_hz = grid.rate_hz * grid.up
        frequency = fft.rfftfreq(GRID * grid.up, 1 / fine_hz)
        gain = band(frequency, plan.highpass_hz, lowpass_of(grid.rate_hz, plan))
        self._taps = grid.up * symmetric(gain, grid.input_delay * grid.up)
        self._tail = np.zeros(2 * grid.input_delay)
        self._was_missing = np.ones(2 * grid.input_delay, dtype=bool)
        self._held = 0.0
        self._offset: float | None = None

    def step(self, samples_uv: Floats) -> tuple[Floats, Flags]:
        """Filter one hop of input.

        Parameters
        ----------
        samples_uv
            Shape ``(hop,)``; NaN where samples are missing.

        Returns
        -------
        samples : ndarray
            Shape ``(work_hop,)``, ``grid.delay`` working samples late.
        usable : ndarray
            False near missing samples and before the first one.
        """
        grid = self.grid
        missing = ~np.isfinite(samples_uv)
        fed = np.concatenate([self._tail, self._bridged(samples_uv, missing)])
        lost = np.concatenate([self._was_missing, missing])
        self._tail, self._was_missing = fed[-self._tail.size :], lost[-self._tail.size :]
        skip = 2 * grid.delay
        out = signal.upfirdn(self._taps, fed, grid.up, grid.down)[skip : skip + grid.work_hop]
        return out, ~self._near(lost)

    def _bridged(self, samples_uv: Floats, missing: Flags) -> Floats:
        """Draw a line across what is missing; hold the last value while its end is not known."""
        if missing.all():
            return np.full(samples_uv.size, self._held)
        if self._offset is None:  # electrodes carry direct voltages of many millivolts
            self._offset = float(samples_uv[~missing][0])
        known = np.flatnonzero(~missing)
        values = samples_uv[known] - self._offset
        at = np.concatenate([[-1], known])
        out = np.interp(np.arange(samples_uv.size), at, np.concatenate([[self._held], values]))
        self._held = float(values[-1])
        return np.asarray(out)

    def _near(self, lost: Flags) -> Flags:
        """Tell which working samples of the hop have a missing input sample near them."""
        grid = self.grid
        count = np.concatenate([[0], np.cumsum(lost)])
        reach = min(int(2 * AROUND_GAP_S * grid.rate_hz), grid.input_delay)
        at = grid.input_delay + np.arange(grid.work_hop) * grid.down // grid.up
        return np.asarray(count[at + reach + 1] > count[at - reach])


def whitening(before: Conditioned, after: Conditioned, half: int) -> Floats:
    """Return the symmetric filter that made one signal of the other, ``2 half + 1`` long.

    Parameters
    ----------
    before, after
        The conditioned signal, and the whitened one.
    half
        Samples of delay.
    """
    one, other = fft.rfft(before.samples), fft.rfft(after.samples)
    power = np.abs(one) ** 2
    gain = np.real(other * np.conj(one)) / (power + 1e-9 * float(power.max()))
    taps = fft.irfft(gain, before.samples.size)
    taps = np.concatenate([taps[-half:], taps[: half + 1]])
    return np.asarray(taps * _fading(half))


def symmetric(gain: Floats, half: int) -> Floats:
    """Return the zero-phase filter of a gain on a dense grid, ``2 half + 1`` long."""
    taps = fft.irfft(gain)
    return np.asarray(np.concatenate([taps[-half:], taps[: half + 1]]) * _fading(half))


def _fading(half: int) -> Floats:
    """Return a window that is flat in its middle half and falls to zero at its ends."""
    x = np.abs(np.arange(-half, half + 1)) / (half + 1)
    return np.asarray(np.cos(np.pi / 2 * np.clip(2 * x - 1, 0, 1)) ** 2)

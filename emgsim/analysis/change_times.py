"""The likelihood of a change time: power that rises at once, or along a ramp, and then stays.

The signal comes whitened, as its power in short cells. Before the change its power is known, after
it it is not: a step and ten ramps are tried with several final powers each (generalised likelihood
ratio; Staude & Wolf 1999, Med Eng Phys 21:449). `rise_s` finds a rise; a fall is one in reversed
time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Floats = NDArray[np.float64]

# All but the grid were set on seeds that benchmarks/onset.py does not report.
POWER_RATIO = 1.7  # active over rest, the weakest activity that is looked for (-1.5 dB)
EVIDENCE = 14.0  # nats to leave rest or activity; no false alarm in two hours of white rest
LARGEST = 20.0  # of the power in a cell, times that at rest: one artefact is no activity
RAMPS_S = (0.0, *(0.01 * 2 ** (k / 2) for k in range(10)))  # 10 to 226 ms; 0 is a step
RAMP_COST = 2.5  # nats: there are ten ramps for one step
INDEPENDENT = 0.5  # share of the samples along a ramp that count for its interval; calibrated
BEFORE_S, AFTER_S = 0.15, 0.25  # of a first guess, which chance at rest may put early
GRID = 0.15  # decades between the powers that are tried


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Power of the whitened signal, 1 per sample at rest, summed over cells."""

    power: Floats
    counts: Floats  # usable samples in each cell
    rate_hz: float
    per_cell: int

    @property
    def cell_s(self) -> float:
        """Length of a cell."""
        return self.per_cell / self.rate_hz


def evidence(cells: Cells) -> Floats:
    """Return how many nats each cell speaks for activity of `POWER_RATIO`, against rest."""
    power = np.minimum(cells.power, LARGEST * cells.counts)
    gain = (1 - 1 / POWER_RATIO) * power - np.log(POWER_RATIO) * cells.counts
    return np.asarray(0.5 * gain)


def rise_s(cells: Cells, rough: int, first: int, stop: int) -> Floats:
    """Return low, most likely and high time of the rise near cell ``rough``.

    Weighed is what lies from ``first`` to ``stop``, which are at rest and in activity. The rise is
    not later than the alarm, where what came since ``rough`` is enough evidence of activity: a
    stronger rise may well follow.
    """
    if rough == 0:
        return np.array([-np.inf, 0.0, 0.0])  # active from the beginning: not seen to rise
    before, after = (round(s / cells.cell_s) for s in (BEFORE_S, AFTER_S))
    begin = max(first, rough - before)
    end = min(stop, rough + after)
    part = replace(cells, power=cells.power[begin:end], counts=cells.counts[begin:end])
    alarm = np.searchsorted(
        np.maximum.accumulate(np.cumsum(evidence(part)[rough - begin :])), EVIDENCE
    )
    n_tried = min(rough - begin + int(alarm) + 1, end - begin)
    likelihood = _likelihood(part, rough - begin)[:, :n_tried]
    best, low, high = _weighed(likelihood)
    at = begin + np.array([low, best + 0.5, high + 1])
    return np.asarray(at * cells.cell_s - 1 / cells.rate_hz)  # between two samples


def _weighed(likelihood: Floats) -> tuple[int, int, int]:
    """Return the place of a change, and the low and high place that hold 95 % of the likelihood.

    The steps together are weighed against the ramps together. Of a step the place of maximum
    likelihood is taken; that of a ramp trades against its length, and the median errs less.
    """
    weight = np.exp(likelihood - likelihood.max()).reshape(-1, len(RAMPS_S), likelihood.shape[1])
    step, ramp = weight[:, 0].sum(axis=0), weight[:, 1:].sum(axis=(0, 1))
    is_step = step.sum() >= ramp.sum()
    best = int(np.argmax(weight[:, 0].max(axis=0))) if is_step else _place(ramp, 0.5)
    wide = (weight[:, 1:] ** INDEPENDENT).sum(axis=(0, 1))
    spread = step + ramp.sum() * wide / wide.sum()
    low, high = _place(spread, 0.025), _place(spread, 0.975)
    return best, min(low, best), max(high, best)


def _place(weight: Floats, share: float) -> int:
    total = np.cumsum(weight)
    return int(np.searchsorted(total, share * total[-1]))


def _likelihood(cells: Cells, rough: int) -> Floats:
    """Return the log likelihood of a change at each cell, a row for each ramp and final power."""
    power, counts, cell_s = cells.power, cells.counts, cells.cell_s
    within, n = counts[rough:].sum(), power.size
    excess = max(power[rough:].sum() / max(within, 1.0) - 1, 0.1)
    centre = round(float(np.log10(excess)) / GRID)
    size = fft.next_fast_len(2 * round((BEFORE_S + AFTER_S) / cell_s) + 2, real=True)
    kernels = [_kernels(level, size, cell_s) for level in range(centre - 2, centre + 3)]
    spectra = fft.rfft(np.stack([power, counts]), size)
    summed = [of_power * spectra[0] + of_counts * spectra[1] for of_power, of_counts in kernels]
    costs = np.where(np.array(RAMPS_S) > 0, RAMP_COST, 0.0)
    rows = fft.irfft(np.concatenate(summed), size)[:, :n]
    return np.asarray(rows - np.tile(costs, len(kernels))[:, None])


@lru_cache(maxsize=64)
def _kernels(level: int, size: int, cell_s: float) -> tuple[NDArray[np.complex128], ...]:
    """Return spectra that correlate power and counts with the likelihoods of all ramps."""
    time_s = (np.arange(size // 2) + 0.5) * cell_s
    steep = [np.clip(time_s / ramp_s, 0, 1) if ramp_s else 1 + 0 * time_s for ramp_s in RAMPS_S]
    variance = 1 + 10 ** (GRID * level) * np.array(steep) ** 2
    return tuple(
        np.conj(fft.rfft(kernel, size))
        for kernel in (0.5 - 0.5 / variance, -0.5 * np.log(variance))
    )

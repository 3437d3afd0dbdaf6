"""Which unit discharged when: matching pursuit under a firing-time prior.

The residual's correlation with every template is kept up to date while discharges are put in and
taken out, so each step costs a few short vector additions. The objective is a log posterior:
Gaussian likelihood of the residual, a Gaussian amplitude of every discharge around one, and the
renewal density of the intervals.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft, ndimage

from emgsim.analysis.detection import Counts
from emgsim.analysis.learning import Unit

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PHASES = 8  # positions between two samples
LEAST_AMPLITUDE = 0.6
CLEAR = 150.0  # energy over variance of units whose absence leaves a mark
CLEAR_SHARE = 0.02  # of the largest energy; smaller ones are not worth a search
BELIEVABLE = 2.5  # SD of a unit's amplitude around one
BLOCK = 128  # samples; the best candidate of each is remembered


@dataclass(frozen=True, order=True)
class Discharge:
    """One discharge put into the model; ``tick`` counts phases, so equality is exact."""

    tick: int
    unit: int
    amplitude: float

    @property
    def position(self) -> float:
        """Position of the spike in samples."""
        return self.tick / PHASES


class Dictionary:
    """Templates with everything the pursuit needs of them.

    Parameters
    ----------
    units
        Their templates and amplitude spreads.
    before
        Column of the spike.
    variance
        Of what no template explains.
    n_channels
        That stand one after the other in each template.
    """

    def __init__(
        self, units: tuple[Unit, ...], before: int, variance: float, n_channels: int = 1
    ) -> None:
        self.templates = np.array([u.template for u in units])
        self.before = before
        self.n, self.length = len(units), self.templates.shape[-1] // n_channels
        self.n_channels = n_channels
        self.energy = np.sum(self.templates**2, axis=1)
        self.variance = variance
        self.amplitude_sd = np.array([u.amplitude_sd for u in units])
        self.reach = BELIEVABLE * self.amplitude_sd
        self.pull = variance / self.amplitude_sd**2
        least = max(CLEAR * variance, CLEAR_SHARE * float(self.energy.max(initial=0.0)))
        self.is_clear = self.energy > least
        self.cross = self._cross()

    def _cross(self) -> Floats:
        """Correlate every shifted template with every other, lags ``1 - length .. length - 1``."""
        size = fft.next_fast_len(2 * self.length, real=True)
        rows = self.templates.reshape(self.n, self.n_channels, self.length)
        out = self._cross_of(rows[:, 0], size)
        for channel in range(1, self.n_channels):
            out += self._cross_of(rows[:, channel], size)
        return out

    def _cross_of(self, templates: Floats, size: int) -> Floats:
        """Correlate the shifted templates of one channel, shape ``(units, length)``."""
        spectrum = fft.rfft(templates, size, axis=-1)
        turns = np.arange(size // 2 + 1)[None, :] * np.arange(PHASES)[:, None] / (size * PHASES)
        moved = spectrum[:, None, :] * np.exp(-2j * np.pi * turns)[None]
        full = fft.irfft(moved[:, :, None, :] * np.conj(spectrum)[None, None], size, axis=-1)
        reach = self.length - 1
        return np.concatenate([full[..., -reach:], full[..., : reach + 1]], axis=-1)

    def correlations(self, samples: Floats) -> Floats:
        """Return the correlation with each template by position of the spike, ``(units, n)``."""
        size = fft.next_fast_len(6 * self.length, real=True)
        step, n = size - self.length + 1, samples.shape[-1]
        out = np.zeros((self.n, n))
        for k, channel in enumerate(np.atleast_2d(samples)):
            padded = np.pad(channel, (self.before, self.length + size))
            spectrum = fft.rfft(sliding_window_view(padded, size)[: n + step : step])
            own = self.templates[:, k * self.length : (k + 1) * self.length]
            for unit, template in enumerate(own):
                pieces = fft.irfft(spectrum * np.conj(fft.rfft(template, size)), size)
                out[unit] += pieces[:, :step].ravel()[:n]
        return out

    def gain(self, correlation: Floats, units: slice | Counts) -> Floats:
        """Return the log likelihood gained by a discharge, from correlations ``(units, m)``.

        With the amplitude at its best, ``(c + pull) / (energy + pull)``.
        """
        energy, pull = self.energy[units, None], self.pull[units, None]
        out = correlation + pull
        out *= out
        out *= 1 / (2 * self.variance * (energy + pull))
        out -= pull / (2 * self.variance)
        np.putmask(out, correlation < LEAST_AMPLITUDE * energy, -np.inf)
        return np.asarray(out)

    def amplitude(self, unit: int, correlation: float) -> float:
        """Return the likeliest believable amplitude given the correlation at one position.

        What two overlapping spikes add up to must not all be given to the first of them.
        """
        best = (correlation + self.pull[unit]) / (self.energy[unit] + self.pull[unit])
        return float(min(max(best, 1 - self.reach[unit]), 1 + self.reach[unit]))

    def fit(self, unit: int, correlation: float, amplitude: float) -> float:
        """Return the log likelihood gained by a discharge of this very amplitude."""
        gained = amplitude * correlation - 0.5 * amplitude**2 * self.energy[unit]
        return float((gained - 0.5 * self.pull[unit] * (amplitude - 1) ** 2) / self.variance)


class Pursuit:
    """The state of a decomposition: discharges, and the correlations of what they leave.

    Parameters
    ----------
    dictionary
        The templates.
    samples, usable
        The signal, ``(n,)`` or ``(n_channels, n)``, and where discharges may lie, ``(n,)``.
    log_densities
        Per unit the log density of its intervals by samples.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        samples: Floats,
        usable: Flags,
        log_densities: list[Floats],
    ) -> None:
        self.dictionary = dictionary
        self.n = samples.shape[-1]
        n_blocks = -(-self.n // BLOCK)
        self._blocks = np.zeros((dictionary.n, n_blocks, BLOCK))
        self.correlation = self._blocks.reshape(dictionary.n, -1)[:, : self.n]
        self.correlation[:] = dictionary.correlations(samples)
        self.log_densities = log_densities
        self.trains: list[list[int]] = [[] for _ in range(dictionary.n)]
        self.discharges: dict[tuple[int, int], Discharge] = {}
        self.barred = np.where(usable, 0.0, -np.inf)
        self._prior_blocks = np.full((dictionary.n, n_blocks, BLOCK), -np.inf)
        self.prior = self._prior_blocks.reshape(dictionary.n, -1)[:, : self.n]
        self.best = np.full((dictionary.n, n_blocks), -np.inf)
        for row, table in zip(self.prior, log_densities, strict=True):
            row[:] = inserted(table, 0, None, None) + self.barred
        self._top = np.empty(self.best.shape)  # correlation of each block
        self._has_changed = np.ones(n_blocks, dtype=bool)
        self._is_stale = np.ones(self.best.shape, dtype=bool)

    def gain(self, units: slice, first: int, last: int) -> Floats:
        """Return what a discharge at each sample would add to the objective."""
        out = self.dictionary.gain(self.correlation[units, first:last], units)
        return np.asarray(out + self.prior[units, first:last])

    def _refresh_best(self) -> None:
        """Find the best candidate of every changed block; few correlate enough to be one."""
        changed = np.flatnonzero(self._has_changed)
        self._top[:, changed] = self._blocks[:, changed].max(axis=2)
        self.best[self._is_stale] = -np.inf
        least = LEAST_AMPLITUDE * self.dictionary.energy[:, None]
        which, blocks = np.nonzero(self._is_stale & (self._top >= least))
        gain = self.dictionary.gain(self._blocks[which, blocks], which)
        self.best[which, blocks] = (gain + self._prior_blocks[which, blocks]).max(axis=1)
        self._has_changed[:] = self._is_stale[:] = False

    def _refresh_prior(self, unit: int, sample: int) -> None:
        """Work out the prior anew between the discharges on both sides of a sample."""
        train = self.trains[unit]
        at = bisect_left(train, (sample + 1) * PHASES)
        low = train[at - 1] // PHASES if at > 0 else None
        high = train[at] // PHASES if at < len(train) else None
        first, last = (0 if low is None else low), (self.n if high is None else high)
        prior = insertion(self.log_densities[unit], first, last, low, high)
        self.prior[unit, first:last] = prior + self.barred[first:last]
        self._is_stale[unit, first // BLOCK : -(-last // BLOCK)] = True

    def put(self, discharge: Discharge) -> None:
        """Add a discharge to the model."""
        self.discharges[discharge.unit, discharge.tick] = discharge
        insort(self.trains[discharge.unit], discharge.tick)
        self._subtract(discharge, discharge.amplitude)

    def take(self, discharge: Discharge) -> None:
        """Take a discharge out of the model again."""
        del self.discharges[discharge.unit, discharge.tick]
        self.trains[discharge.unit].remove(discharge.tick)
        self._subtract(discharge, -discharge.amplitude)

    def _subtract(self, discharge: Discharge, amplitude: float) -> None:
        unit = discharge.unit
        whole, phase = divmod(discharge.tick, PHASES)
        reach = self.dictionary.length - 1
        a, b = max(whole - reach, 0), min(whole + reach + 1, self.n)
        cross = self.dictionary.cross[unit, phase][:, a - whole + reach : b - whole + reach]
        self.correlation[:, a:b] -= amplitude * cross
        blocks = slice(a // BLOCK, -(-b // BLOCK))
        self._has_changed[blocks] = self._is_stale[:, blocks] = True
        self._refresh_prior(unit, whole - 1)
        self._refresh_prior(unit, whole)

    def fill(self) -> None:
        """Add discharges, the best first, until none adds to the objective."""
        while True:
            self._refresh_best()
            candidates = self._best_apart()
            if not candidates:
                return
            for unit, block in candidates:
                start = block * BLOCK
                gain = self.gain(slice(unit, unit + 1), start, min(start + BLOCK, self.n))[0]
                sample = start + int(np.argmax(gain))
                discharge = placed(self.dictionary, unit, self.correlation[unit], sample, 0)
                if (unit, discharge.tick) in self.discharges:
                    self.best[unit, block] = -np.inf
                else:
                    self.put(discharge)

    def _best_apart(self) -> list[tuple[int, int]]:
        """Return units and blocks of candidates that do not change each other's gain.

        They are the best in their surroundings, and of one unit between two of its discharges.
        """
        top = self.best.max(axis=0)
        around = 2 * (-(-self.dictionary.length // BLOCK)) + 1
        blocks = np.flatnonzero((top > 0) & (top == ndimage.maximum_filter1d(top, around)))
        out: dict[tuple[int, int], tuple[int, int]] = {}
        for block in blocks[np.argsort(-top[blocks], kind="stable")].tolist():
            unit = int(np.argmax(self.best[:, block]))
            gap = bisect_left(self.trains[unit], block * BLOCK * PHASES)
            out.setdefault((unit, gap), (unit, block))
        return list(out.values())


def placed(
    dictionary: Dictionary, unit: int, correlation: Floats, column: int, first: int
) -> Discharge:
    """Return the discharge at the vertex near a column of a row that begins at ``first``."""
    tick = column * PHASES
    if 0 < column < correlation.size - 1:
        early, middle, late = correlation[column - 1 : column + 2].tolist()
        bend = early - 2 * middle + late
        if bend < 0:
            tick = round((column + min(max(0.5 * (early - late) / bend, -0.5), 0.5)) * PHASES)
    amplitude = dictionary.amplitude(unit, between(correlation, tick))
    return Discharge(tick + first * PHASES, unit, amplitude)


def between(correlation: Floats, tick: int) -> float:
    """Return the correlation at a tick between samples, by the parabola through three."""
    column = min(max((tick + PHASES // 2) // PHASES, 1), correlation.size - 2)
    x = tick / PHASES - column
    early, middle, late = correlation[column - 1 : column + 2].tolist()
    return float(middle + 0.5 * (late - early) * x + 0.5 * (late - 2 * middle + early) * x * x)


def insertion(table: Floats, first: int, last: int, low: int | None, high: int | None) -> Floats:
    """Return the change of a train's log density by one more discharge at each sample.

    Parameters
    ----------
    table
        Log density by interval in samples.
    first, last
        Samples asked for.
    low, high
        Samples of the discharges before and after; None at an end of the train.
    """
    out = np.full(last - first, -interval_cost(table, low, high))
    out += table[typical(table)] if low is None else _stretch(table, first - low, last - low)
    if high is not None:
        out += _stretch(table, high - last + 1, high - first + 1)[::-1]
    return out


def inserted(table: Floats, sample: int, low: int | None, high: int | None) -> float:
    """Return `insertion` at one sample."""
    end = table.size - 1
    out = table[typical(table)] if low is None else table[min(sample - low, end)]
    if high is not None:
        out += table[min(high - sample, end)]
    return float(out - interval_cost(table, low, high))


def interval_cost(table: Floats, low: int | None, high: int | None) -> float:
    """Return the log density of the interval that a discharge between would take away."""
    if high is None:
        return 0.0
    return float(table[typical(table) if low is None else min(high - low, table.size - 1)])


def typical(table: Floats) -> int:
    """Return the interval in samples that stands for the unknown one at an end of a train."""
    return (table.size - 1) // 10


def _stretch(table: Floats, first: int, last: int) -> Floats:
    """Return the table from ``first`` to ``last``, its final value going on for ever."""
    if last <= table.size:
        return table[first:last]
    tail = np.full(last - max(first, table.size), table[-1])
    return np.concatenate([table[first:], tail])

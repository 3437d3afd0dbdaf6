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
from numpy.typing import NDArray
from scipy import fft, signal

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
    """

    def __init__(self, units: tuple[Unit, ...], before: int, variance: float) -> None:
        self.templates = np.array([u.template for u in units])
        self.before = before
        self.n, self.length = self.templates.shape
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
        spectrum = fft.rfft(self.templates, size, axis=-1)
        turns = np.arange(size // 2 + 1)[None, :] * np.arange(PHASES)[:, None] / (size * PHASES)
        moved = spectrum[:, None, :] * np.exp(-2j * np.pi * turns)[None]
        full = fft.irfft(moved[:, :, None, :] * np.conj(spectrum)[None, None], size, axis=-1)
        reach = self.length - 1
        return np.concatenate([full[..., -reach:], full[..., : reach + 1]], axis=-1)

    def correlations(self, samples: Floats) -> Floats:
        """Return the correlation with each template by position of the spike, ``(units, n)``."""
        padded = np.pad(samples, (self.before, self.length))
        rows = [
            signal.oaconvolve(padded, template[::-1], mode="valid")[: samples.size]
            for template in self.templates
        ]
        return np.array(rows)

    def gain(self, correlation: Floats, units: slice) -> Floats:
        """Return the log likelihood gained by a discharge, from correlations ``(units, m)``.

        With the amplitude at its best, ``(c + pull) / (energy + pull)``.
        """
        energy, pull = self.energy[units, None], self.pull[units, None]
        out = correlation + pull
        out *= out
        out *= 1 / (2 * self.variance * (energy + pull))
        out -= pull / (2 * self.variance)
        out[correlation < LEAST_AMPLITUDE * energy] = -np.inf
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
        Shape ``(n,)``: the signal, and where discharges may lie.
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
        self.correlation = dictionary.correlations(samples)
        self.n = samples.size
        self.log_densities = log_densities
        self.trains: list[list[int]] = [[] for _ in range(dictionary.n)]
        self.discharges: dict[tuple[int, int], Discharge] = {}
        self.barred = np.where(usable, 0.0, -np.inf)
        self.prior = np.empty((dictionary.n, self.n))
        for unit in range(dictionary.n):
            self._refresh_prior(unit, 0)
        self.best = np.full((dictionary.n, -(-self.n // BLOCK)), -np.inf)
        self._refresh_blocks(slice(None), 0, self.n)

    def gain(self, units: slice, first: int, last: int) -> Floats:
        """Return what a discharge at each sample would add to the objective."""
        correlation = self.correlation[units, first:last]
        out = self.dictionary.gain(correlation, units)
        return out + self.prior[units, first:last] + self.barred[first:last]

    def _refresh_blocks(self, units: slice, first: int, last: int) -> None:
        a, b = first // BLOCK, min(-(-last // BLOCK), self.best.shape[1])
        gain = self.gain(units, a * BLOCK, min(b * BLOCK, self.n))
        short = (b - a) * BLOCK - gain.shape[1]
        if short:
            gain = np.pad(gain, ((0, 0), (0, short)), constant_values=-np.inf)
        self.best[units, a:b] = gain.reshape(gain.shape[0], b - a, BLOCK).max(axis=2)

    def _refresh_prior(self, unit: int, sample: int) -> tuple[int, int]:
        """Work out the prior anew between the discharges on both sides of a sample."""
        train = self.trains[unit]
        at = bisect_left(train, (sample + 1) * PHASES)
        low = train[at - 1] // PHASES if at > 0 else None
        high = train[at] // PHASES if at < len(train) else None
        first, last = (0 if low is None else low), (self.n if high is None else high)
        self.prior[unit, first:last] = insertion(self.log_densities[unit], first, last, low, high)
        return first, last

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
        self._refresh_blocks(slice(None), a, b)
        for sample in (whole - 1, whole):
            first, last = self._refresh_prior(unit, sample)
            self._refresh_blocks(slice(unit, unit + 1), first, last)

    def fill(self) -> None:
        """Add discharges, the best first, until none adds to the objective."""
        while True:
            unit, block = divmod(int(np.argmax(self.best)), self.best.shape[1])
            if not self.best[unit, block] > 0:
                return
            start = block * BLOCK
            gain = self.gain(slice(unit, unit + 1), start, min(start + BLOCK, self.n))[0]
            sample = start + int(np.argmax(gain))
            discharge = placed(self.dictionary, unit, self.correlation[unit], sample, 0)
            if (unit, discharge.tick) in self.discharges:
                self.best[unit, block] = -np.inf
                continue
            self.put(discharge)


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
    out = -interval_cost(table, low, high) * np.ones(last - first)
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

"""How sure one may be of each discharge: what speaks for it, and the probability that it is right.

In the concept of McGill & Marateb (2010, IEEE Trans Neural Syst Rehabil Eng 18:497): every
discharge is held against what could stand in its place - nothing, the same unit elsewhere, another
unit - under the very likelihood and firing-time prior that found it. What comes of that, together
with what is left unexplained there, goes through a logistic map that was fitted to simulated
recordings, whose truth is known.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special

from emgsim.analysis.conditioning import Conditioned
from emgsim.analysis.decomposability import decomposability
from emgsim.analysis.decomposition import Model, interval_tables, pursued
from emgsim.analysis.drift import pieces
from emgsim.analysis.learning import Unit
from emgsim.analysis.resolution import PHASES, Discharge, Pursuit, between, inserted, insertion

Floats = NDArray[np.float64]

RIGHT_S = 0.0005  # a discharge is right if the unit truly discharged within this time
RIVAL_S = 0.004  # what is farther away explains something else
MOST_STRANGE = 3.0  # SD; beyond it an amplitude is an outlier, whichever
QUIETEST = 0.05  # of the variance; less can be left only by chance


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What speaks for and against each discharge of one unit; every field ``(n_discharges,)``."""

    worth: Floats  # log posterior ratio against no discharge
    rival: Floats  # the same against the best other explanation
    expected: Floats  # the firing-time prior's part of the worth
    strange: Floats  # |amplitude - 1| in SD
    overlap: Floats  # largest correlation with a neighbour, as a share of the unit's energy
    left: Floats  # residual where the template has its energy, over the variance
    apart: Floats  # decomposability of the unit

    @property
    def columns(self) -> Floats:
        """What the logistic map takes, shape ``(n_discharges, 7)``, in the order of the fields."""
        return np.column_stack(
            [
                _compressed(self.worth),
                _compressed(self.rival),
                self.expected,
                np.minimum(self.strange, MOST_STRANGE),
                self.overlap,
                np.log(np.maximum(self.left, QUIETEST)),
                np.log(np.maximum(self.apart, 1.0)),
            ]
        )


# Fitted by ``python benchmarks/confidence.py PATH_TO_TEST_SIGNALS --fit`` on its fitting seeds.
WEIGHTS = {
    "constant": -3.212,
    "worth": 0.703,
    "rival": 0.123,
    "expected": 0.213,
    "strange": -0.640,
    "overlap": -0.932,
    "left": -1.447,
    "apart": 2.189,
}


def confidences(work: Conditioned, model: Model) -> tuple[Floats, ...]:
    """Return the probability of each discharge to be right within 0.5 ms.

    Parameters
    ----------
    work, model
        As `decompose` returns them.

    Returns
    -------
    tuple of ndarray
        Per unit, shape ``(n_discharges,)``, in the order of the model's units and discharges.
    """
    return tuple(probability(own) for own in evidence(work, model))


def probability(own: Evidence) -> Floats:
    """Return the probability that comes of a unit's evidence, ``(n_discharges,)``."""
    constant, *weights = WEIGHTS.values()
    return np.asarray(special.expit(constant + own.columns @ np.array(weights)))


def evidence(work: Conditioned, model: Model) -> tuple[Evidence, ...]:
    """Return what speaks for and against each discharge, per unit of the model."""
    apart = decomposability(model)
    tables = interval_tables(work, model)
    parts: list[list[Evidence]] = [[] for _ in model.units]
    for piece in pieces(work, model.units) if model.units else ():
        steady = replace(model, units=piece.units)
        pursuit = pursued(piece.work, steady, tables)
        for number, unit in enumerate(piece.units):
            for one in _discharges(number, unit):
                pursuit.put(one)
        power = steady.residual(piece.work.samples) ** 2 / max(model.variance, 1e-30)
        for number, unit in enumerate(piece.units):
            own = piece.own(unit)
            found = _against_rivals(pursuit, _discharges(number, own), work.rate_hz)
            left = _left(power, own, model.before)
            alone = np.full(left.size, apart[number])
            parts[number].append(Evidence(**found, left=left, apart=alone))
    return tuple(_joined(own) for own in parts)


def _joined(parts: list[Evidence]) -> Evidence:
    """Put the evidence of a unit's pieces one after the other."""
    names = [field.name for field in fields(Evidence)]
    return Evidence(**{k: np.concatenate([getattr(part, k) for part in parts]) for k in names})


def _discharges(number: int, unit: Unit) -> list[Discharge]:
    return [
        Discharge(round(PHASES * position), number, amplitude)
        for position, amplitude in zip(
            unit.positions.tolist(), unit.amplitudes.tolist(), strict=True
        )
    ]


def _left(power: Floats, unit: Unit, before: int) -> Floats:
    """Return the power of the residual under each discharge, weighted by the template's own."""
    weights = unit.template**2 / max(unit.energy, 1e-30)
    rows, out = np.atleast_2d(power), np.zeros(power.shape[-1])
    for row, own in zip(rows, np.split(weights, rows.shape[0]), strict=True):
        padded = np.pad(row, (before, own.size - before - 1))
        out += signal.oaconvolve(padded, own[::-1], mode="valid")
    return np.asarray(out[np.clip(np.rint(unit.positions).astype(int), 0, out.size - 1)])


def _against_rivals(
    pursuit: Pursuit, discharges: list[Discharge], rate_hz: float
) -> dict[str, Floats]:
    """Return the fields of `Evidence` that come of taking each discharge out for a moment."""
    names = ("worth", "rival", "expected", "strange", "overlap")
    rows = [_Vacancy(pursuit, one, rate_hz).row() for one in discharges]
    return dict(zip(names, np.array(rows).reshape(-1, len(names)).T, strict=True))


class _Vacancy:
    """The surroundings of a discharge as they would be without it."""

    def __init__(self, pursuit: Pursuit, one: Discharge, rate_hz: float) -> None:
        self.pursuit, self.one = pursuit, one
        self.dictionary = pursuit.dictionary
        self.whole, phase = divmod(one.tick, PHASES)
        self.reach = self.dictionary.length - 1
        half = min(round(RIVAL_S * rate_hz), self.reach)
        self.first, self.last = max(self.whole - half, 0), min(self.whole + half + 1, pursuit.n)
        self.near = round(RIGHT_S * rate_hz)
        self.cross = self.dictionary.cross[one.unit, phase]
        offset = self.first - self.whole + self.reach
        own = self.cross[:, offset : offset + self.last - self.first]
        self.correlation = pursuit.correlation[:, self.first : self.last] + one.amplitude * own
        train = pursuit.trains[one.unit]
        at = bisect_left(train, one.tick)
        self.low = train[at - 1] // PHASES if at else None
        self.high = train[at + 1] // PHASES if at + 1 < len(train) else None

    def row(self) -> tuple[float, float, float, float, float]:
        """Return worth, rival, expected, strange and overlap."""
        unit, dictionary = self.one.unit, self.dictionary
        table = self.pursuit.log_densities[unit]
        expected = inserted(table, self.whole, self.low, self.high)
        value = between(self.correlation[unit], self.one.tick - self.first * PHASES)
        worth = dictionary.fit(unit, value, self.one.amplitude) + expected
        strange = abs(self.one.amplitude - 1) / float(dictionary.amplitude_sd[unit])
        return worth, worth - self._best_rival(), expected, strange, self._overlap()

    def _best_rival(self) -> float:
        """Return the worth of the best other explanation; nothing at all is worth 0."""
        unit = self.one.unit
        gain = self.dictionary.gain(self.correlation, slice(None))
        gain += self.pursuit.prior[:, self.first : self.last]
        a = max(self.first, -1 if self.low is None else self.low) + (self.low is not None)
        b = min(self.last, self.pursuit.n if self.high is None else self.high)
        table = self.pursuit.log_densities[unit]
        own = np.full(self.last - self.first, -np.inf)
        if a < b:  # the unit's other discharges may leave no place
            likelihood = self.dictionary.gain(
                self.correlation[unit : unit + 1, a - self.first : b - self.first],
                slice(unit, unit + 1),
            )[0]
            own[a - self.first : b - self.first] = likelihood + insertion(
                table, a, b, self.low, self.high
            )
        middle = self.whole - self.first
        own[max(middle - self.near, 0) : middle + self.near + 1] = -np.inf
        gain[unit] = own
        return max(float(gain.max()), 0.0)

    def _overlap(self) -> float:
        """Return the largest correlation with another discharge as a share of the energy."""
        largest = 0.0
        for unit, train in enumerate(self.pursuit.trains):
            first = bisect_left(train, (self.whole - self.reach) * PHASES)
            last = bisect_left(train, (self.whole + self.reach) * PHASES)
            for tick in train[first:last]:
                if unit != self.one.unit or tick != self.one.tick:
                    lag = tick // PHASES - self.whole + self.reach
                    largest = max(largest, abs(float(self.cross[unit, lag])))
        return largest / float(self.dictionary.energy[self.one.unit])


def _compressed(ratio: Floats) -> Floats:
    """Return log posterior ratios so that large ones differ little: past sure, more is no surer."""
    return np.asarray(np.sign(ratio) * np.log1p(np.abs(ratio)))

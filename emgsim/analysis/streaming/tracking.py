"""Known units followed hop by hop: what has been decided stays, what is near the end waits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emgsim.analysis.clustering import SHAPE_VARIABILITY
from emgsim.analysis.decomposition import COMPARED_S, DISTRUST, HEAVIEST, REVISED_S, Model
from emgsim.analysis.detection import TAPS, floor_sd, mean_square, snippets
from emgsim.analysis.learning import Unit, add_discharges, tapered
from emgsim.analysis.resolution import PHASES, Dictionary, Discharge, Pursuit
from emgsim.analysis.revision import revise
from emgsim.analysis.streaming.tape import Tape
from emgsim.analysis.trains import checked, intervals_of, log_density

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LOOKAHEAD_S = 0.055  # two potentials, a window of superpositions, and some of what follows
HISTORY_S = 0.35  # a unit that was silent for longer begins anew
MEMORY = 60.0  # discharges over which a template is averaged
OUTLIER = 3.0  # SD of the floor: what differs more from a template is somebody else's
TRUSTED = 0.9  # share of expected intervals of a unit that may change its template
INTERVALS = 60  # newest discharges that the firing-time model is taken from
VARIANCE_SHARE = 0.1  # of the newest second in the variance


@dataclass(kw_only=True)
class Tracked:
    """A unit that is being followed: its newest template, and all its discharges."""

    unit: Unit
    table: Floats  # log density of its intervals
    ticks: list[int] = field(default_factory=list)
    amplitudes: list[float] = field(default_factory=list)
    n_learned: int = 0  # discharges that the template has been taught

    @property
    def positions(self) -> Floats:
        """Positions of its discharges in working samples."""
        return np.array(self.ticks, dtype=np.float64) / PHASES


class Tracker:
    """All known units, what they leave of the signal, and up to where discharges are decided.

    Parameters
    ----------
    model
        The units to follow, positions in samples of ``samples``.
    samples, usable
        Shape ``(n,)``, whitened: what the units were learned from.
    rate_hz
        Of the samples.
    first
        Number of the first of them in the stream.
    keep
        So many samples of the residual are remembered.
    """

    def __init__(
        self, model: Model, samples: Floats, usable: Flags, rate_hz: float, *, first: int, keep: int
    ) -> None:
        self.rate_hz = rate_hz
        self.before = model.before
        self.variance = model.variance
        self.residual = Tape(keep, first=first)
        self.usable = Tape(keep, np.bool_, first=first)
        self.decided = first + samples.size - self.lookahead
        self.units: list[Tracked] = []
        left = samples.copy()
        for whole in sorted(model.units, key=lambda u: -u.energy):
            is_decided = whole.positions + first < self.decided
            unit = replace(
                whole,
                positions=whole.positions[is_decided],
                amplitudes=whole.amplitudes[is_decided],
            )
            add_discharges(left, unit, self.before, -1.0)
            ticks = np.rint((unit.positions + first) * PHASES).astype(np.int64)
            newest = unit.steady_parts()[-1]  # of a template that changed meanwhile
            self._follow(newest, ticks.tolist(), unit.amplitudes.tolist())
        self.residual.append(left)
        self.usable.append(usable)
        self.refresh()

    @property
    def lookahead(self) -> int:
        """Working samples at the end in which nothing is decided yet."""
        return round(LOOKAHEAD_S * self.rate_hz)

    def add(self, unit: Unit, ticks: list[int], amplitudes: list[float]) -> None:
        """Follow one more unit from here on; its decided discharges are taken off the residual."""
        positions = np.array(ticks, dtype=np.float64) / PHASES
        self._subtract(replace(unit, positions=positions, amplitudes=np.array(amplitudes)))
        self._follow(unit, ticks, amplitudes)
        self.refresh()

    def _follow(self, unit: Unit, ticks: list[int], amplitudes: list[float]) -> None:
        train_s = np.array(ticks, dtype=np.float64) / PHASES / self.rate_hz
        self.units.append(
            Tracked(
                unit=replace(unit, positions=np.zeros(0), amplitudes=np.zeros(0)),
                table=log_density(intervals_of(train_s), self.rate_hz),
                ticks=ticks,
                amplitudes=amplitudes,
                n_learned=len(ticks),
            )
        )

    def refresh(self) -> None:
        """Work out the templates' correlations anew after a change of any of them."""
        variance = max(DISTRUST * self.variance, 1e-12)
        self._dictionary = Dictionary(tuple(u.unit for u in self.units), self.before, variance)

    def step(self, samples: Floats, usable: Flags) -> list[list[Discharge]]:
        """Take the next working samples; return each unit's discharges that are now decided."""
        self.residual.append(samples)
        self.usable.append(usable)
        new: list[list[Discharge]] = [[] for _ in self.units]
        last = max(self.decided, self.residual.end - self.lookahead)
        for one in self._open_discharges(last) if self.units else []:
            new[one.unit].append(one)
        for tracked, own in zip(self.units, new, strict=True):
            tracked.ticks += [d.tick for d in own]
            tracked.amplitudes += [d.amplitude for d in own]
            amplitudes = np.array([d.amplitude for d in own])
            positions = np.array([d.position for d in own])
            self._subtract(replace(tracked.unit, positions=positions, amplitudes=amplitudes))
        self.decided = last
        return new

    def _subtract(self, unit: Unit) -> None:
        """Take a unit's discharges off the residual."""
        first, last = self.residual.first, self.residual.end
        if unit.positions.size:
            first = max(first, int(unit.positions[0]) - unit.template.size)
        moved = replace(unit, positions=unit.positions - first)
        add_discharges(self.residual.cut(first, last), moved, self.before, -1.0)

    def _open_discharges(self, last: int) -> list[Discharge]:
        """Explain what is not decided yet; return the discharges before ``last``."""
        end = self.residual.end
        start = max(self.residual.first, self.decided - round(HISTORY_S * self.rate_hz))
        usable = self.usable.cut(start, end).copy()
        usable[: self.decided - start] = False
        usable[usable.size - (self._dictionary.length - self.before) // 2 :] = False
        samples = self.residual.cut(start, end)
        pursuit = Pursuit(self._dictionary, samples, usable, [u.table for u in self.units])
        for number, tracked in enumerate(self.units):
            if tracked.ticks and tracked.ticks[-1] >= start * PHASES:
                # only a mark for the firing times: the residual is already without it
                pursuit.put(Discharge(tracked.ticks[-1] - start * PHASES, number, 0.0))
        pursuit.fill()
        half = round(REVISED_S * self.rate_hz)
        revise(pursuit, half, first=self.decided - start, last=last - start)
        pursuit.fill()
        found = [one for one in sorted(pursuit.discharges.values()) if one.amplitude > 0]
        ripe = [one for one in found if one.tick < (last - start) * PHASES]
        fits = self._fit(samples, found, ripe)
        return [
            replace(one, tick=one.tick + start * PHASES)
            for one, is_fit in zip(ripe, fits, strict=True)
            if is_fit
        ]

    def _fit(self, samples: Floats, found: list[Discharge], ripe: list[Discharge]) -> list[bool]:
        """Tell of each ripe discharge whether the potential looks like its unit's.

        The spike of a unit not known yet is often explained, poorly, by a known one. It is
        nobody's, and stays in the residual, where it can be found.
        """
        if not ripe:
            return []
        left = samples.copy()
        for number, tracked in enumerate(self.units):
            own = [one for one in found if one.unit == number]
            positions = np.array([one.position for one in own])
            amplitudes = np.array([one.amplitude for one in own])
            unit = replace(tracked.unit, positions=positions, amplitudes=amplitudes)
            add_discharges(left, unit, self.before, -1.0)
        reach = (round(COMPARED_S[0] * self.rate_hz), round(COMPARED_S[1] * self.rate_hz))
        core = slice(self.before - reach[0], self.before + reach[1])
        pieces = snippets(left, np.array([one.position for one in ripe]), *reach)
        energies = np.array([np.sum(u.unit.template[core] ** 2) for u in self.units])
        most = DISTRUST * self.variance * pieces.shape[1] + SHAPE_VARIABILITY**2 * energies
        left_over = np.sum(pieces**2, axis=1)
        return [bool(x <= most[one.unit]) for x, one in zip(left_over, ripe, strict=True)]

    def learn(self) -> None:
        """Let templates, intervals and variance follow the newest decided discharges."""
        first = self.residual.first + self.before + TAPS
        for tracked in self.units:
            learnable = self.decided - (tracked.unit.template.size - self.before) - TAPS
            at = np.array(tracked.ticks[tracked.n_learned :], dtype=np.float64) / PHASES
            n = int(np.searchsorted(at, learnable))
            fresh = slice(tracked.n_learned, tracked.n_learned + n)
            tracked.n_learned += n
            newest = np.array(tracked.ticks[-INTERVALS:]) / PHASES / self.rate_hz
            inside = at[:n] >= first
            # strays would blur the template, and a blurred template takes more strays
            if inside.any() and checked(newest).expected >= TRUSTED:
                amplitudes = np.array(tracked.amplitudes[fresh])[inside]
                self._teach(tracked, at[:n][inside], amplitudes)
                tracked.table = log_density(intervals_of(newest), self.rate_hz)
        self._measure()
        self.refresh()

    def _teach(self, tracked: Tracked, positions: Floats, amplitudes: Floats) -> None:
        """Move a template towards what its newest discharges looked like."""
        unit = tracked.unit
        first = int(positions[0]) - unit.template.size - TAPS
        first = max(first, self.residual.first)
        samples = self.residual.cut(first, self.residual.end)
        after = unit.template.size - self.before
        differs = snippets(samples, positions - first, self.before, after)
        differs += (amplitudes[:, None] - 1) * unit.template
        most = OUTLIER * np.sqrt(self.variance)
        step = np.mean(np.clip(differs, -most, most), axis=0)
        share = positions.size / (positions.size + MEMORY)
        template = tapered(unit.template + share * step, self.before)
        tracked.unit = replace(unit, template=template)

    def _measure(self) -> None:
        """Let the variance follow the newest second, unless nobody discharged in it."""
        first = max(self.residual.first, self.decided - round(self.rate_hz))
        if not any(u.ticks and u.ticks[-1] > first * PHASES for u in self.units):
            return
        samples = self.residual.cut(first, self.decided)
        usable = self.usable.cut(first, self.decided)
        newest = min(mean_square(samples, usable), HEAVIEST * floor_sd(samples, usable) ** 2)
        if newest > 0:
            self.variance += VARIANCE_SHARE * (newest - self.variance)

"""Superpositions: all discharges of a short window are taken out and found again together.

A beam search over which unit comes next keeps several explanations alive; matching pursuit keeps
one and cannot take back a first choice that two overlapping spikes suggested between them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from emgsim.analysis.resolution import (
    PHASES,
    Discharge,
    Pursuit,
    between,
    inserted,
    insertion,
    placed,
)

Floats = NDArray[np.float64]

BEAM = 4  # explanations kept
SEEDS = 3  # pairs that a second search begins with
BRANCHES = 3  # next discharges tried of each
DEPTH = 7  # discharges in one window
HOPE = -8.0  # a first discharge may cost this much if its partner pays it back
UNEXPLAINED = 0.35  # of a template left behind: something else is there
ORDINARY = 2.0  # SD of an amplitude that needs no explanation
WORTHWHILE = 0.3  # gain that a changed explanation must bring


@dataclass(frozen=True, eq=False)
class Explanation:
    """Discharges in a window, and what they are worth; most are never asked what they leave."""

    window: Window
    worth: float = 0.0
    discharges: tuple[Discharge, ...] = ()
    without_last: Explanation | None = None

    @cached_property
    def correlation(self) -> Floats:
        """What the discharges leave of the correlations, shape ``(units, samples)``."""
        if self.without_last is None:
            return self.window.correlation
        return self.window.left_of(self.without_last.correlation, self.discharges[-1])


class Window:
    """A short stretch of a pursuit whose own discharges have been taken out."""

    def __init__(self, pursuit: Pursuit, first: int, last: int) -> None:
        self.pursuit = pursuit
        self.first, self.last = max(first, 1), min(last, pursuit.n - 1)
        self.start = self.first - 1  # one sample more on each side, for vertices
        cut = slice(self.start, self.last + 1)
        self.correlation = pursuit.correlation[:, cut].copy()
        self.bare = Explanation(self)
        self.prior = pursuit.prior[:, cut]

    def gain(self, state: Explanation) -> Floats:
        """Return what one more discharge at each sample would add."""
        out = self.pursuit.dictionary.gain(state.correlation, slice(None))
        prior = self.prior.copy() if state.discharges else self.prior
        for unit in {d.unit for d in state.discharges}:
            prior[unit] = self._prior_of(unit, state.discharges)
        out += prior
        out[:, 0] = out[:, -1] = -np.inf
        return np.asarray(out)

    def placed(self, state: Explanation, unit: int, column: int) -> Discharge:
        """Return the discharge of a unit at the vertex near a column."""
        row = state.correlation[unit]
        return placed(self.pursuit.dictionary, unit, row, column, self.start)

    def with_one_more(self, state: Explanation, one: Discharge) -> Explanation:
        """Return the explanation with a discharge added, its worth counted exactly."""
        dictionary = self.pursuit.dictionary
        whole = one.tick // PHASES
        value = between(state.correlation[one.unit], one.tick - self.start * PHASES)
        worth = dictionary.fit(one.unit, value, one.amplitude)
        worth += self._prior_at(one.unit, whole, state.discharges)
        if any(d.unit == one.unit and d.tick == one.tick for d in state.discharges):
            worth = -np.inf
        return Explanation(self, state.worth + worth, (*state.discharges, one), state)

    def left_of(self, correlation: Floats, one: Discharge) -> Floats:
        """Return what a discharge leaves of the window's correlations."""
        dictionary = self.pursuit.dictionary
        whole, phase = divmod(one.tick, PHASES)
        out = correlation.copy()
        offset = self.start - whole + dictionary.length - 1
        lo, hi = max(offset, 0), min(offset + out.shape[1], 2 * dictionary.length - 1)
        if hi > lo:
            cross = dictionary.cross[one.unit, phase][:, lo:hi]
            out[:, lo - offset : hi - offset] -= one.amplitude * cross
        return out

    def _marks(self, unit: int, discharges: tuple[Discharge, ...]) -> list[int | None]:
        """Return a unit's discharges in the window and the two around it."""
        train = self.pursuit.trains[unit]
        own = sorted(d.tick // PHASES for d in discharges if d.unit == unit)
        at = bisect_left(train, self.first * PHASES)
        low = train[at - 1] // PHASES if at else None
        high = train[at] // PHASES if at < len(train) else None
        return [low, *own, high]

    def _prior_at(self, unit: int, sample: int, discharges: tuple[Discharge, ...]) -> float:
        low, *rest = self._marks(unit, discharges)
        for mark in rest:
            if mark is None or mark > sample:
                break
            low = mark
        high = None if mark is None or mark <= sample else mark
        return inserted(self.pursuit.log_densities[unit], sample, low, high)

    def _prior_of(self, unit: int, discharges: tuple[Discharge, ...]) -> Floats:
        """Return the firing-time prior of a unit given its discharges in and around the window."""
        table = self.pursuit.log_densities[unit]
        left, right = self.start, self.last + 1
        out = self.pursuit.barred[left:right].copy()
        for a, b in pairwise(self._marks(unit, discharges)):
            start = left if a is None else min(max(a, left), right)
            end = right if b is None else min(max(b, left), right)
            if end > start:
                out[start - left : end - left] += insertion(table, start, end, a, b)
        return out

    def children(self, state: Explanation) -> list[Explanation]:
        """Return the explanations with the likeliest next discharges."""
        gain = self.gain(state)
        columns = gain.argmax(axis=1)
        best = gain[np.arange(gain.shape[0]), columns]
        least = HOPE if len(state.discharges) < 3 else 0.0
        units = [int(u) for u in np.argsort(-best)[:BRANCHES] if best[u] > least]
        taken = {(d.unit, d.tick) for d in state.discharges}
        ones = [self.placed(state, u, int(columns[u])) for u in units]
        return [self.with_one_more(state, d) for d in ones if (d.unit, d.tick) not in taken]

    def explained(self, *, thorough: bool = True) -> Explanation:
        """Search for the explanation that is worth most.

        A thorough search tries all pairs wherever something is left over.
        """
        best = self._searched([self.bare])
        if not thorough or self._is_whole(best):
            return best
        middle = (self.first + self.last) // 2
        near = (self.last - self.first) // 4
        aside = [d for d in best.discharges if abs(d.position - middle) > near]
        seeds = [pair for base in (self.bare, self.rebuilt(aside)) for pair in self.pairs(base)]
        again = self._searched([self.polished(seed) for seed in distinct(seeds)[:SEEDS]])
        return max(best, again, key=lambda state: state.worth)

    def _searched(self, beam: list[Explanation]) -> Explanation:
        """Return the best of what grows from some explanations, discharge by discharge."""
        finals = [self.bare, *beam]
        for _ in range(DEPTH):
            grown = [child for state in beam for child in self.children(state)]
            if not grown:
                break
            beam = distinct(grown)[:BEAM]
            finals.extend(beam[:2])
        ranked = sorted(finals, key=lambda state: -state.worth)[:3]
        better = [self.polished(state) for state in ranked]
        return max([self.bare, *better], key=lambda state: state.worth)

    def _is_whole(self, state: Explanation) -> bool:
        """Tell whether nothing template-like is left and all amplitudes are ordinary."""
        dictionary = self.pursuit.dictionary
        left = np.abs(state.correlation).max(axis=1) / dictionary.energy
        if np.any(left[dictionary.is_clear] > UNEXPLAINED):
            return False
        return all(
            abs(d.amplitude - 1) <= ORDINARY * dictionary.amplitude_sd[d.unit]
            for d in state.discharges
        )

    def pairs(self, state: Explanation) -> list[Explanation]:
        """Return the explanations with the likeliest two more discharges, found together.

        Two potentials can cancel each other so far that neither is seen alone. Every pair of
        units is tried at every pair of samples, with the amplitude one.
        """
        dictionary = self.pursuit.dictionary
        single = state.correlation - dictionary.energy[:, None] / 2
        single = single / dictionary.variance + self.prior
        n, reach = single.shape[1], dictionary.length - 1
        best: list[tuple[float, int, int, int, int]] = []
        for one, other in combinations(np.flatnonzero(dictionary.is_clear).tolist(), 2):
            row = np.zeros(2 * n - 1)  # correlation of `one` at a sample with `other` at another
            a, b = max(reach - n + 1, 0), min(reach + n, 2 * reach + 1)
            row[a - reach + n - 1 : b - reach + n - 1] = dictionary.cross[one, 0, other, a:b]
            overlap = sliding_window_view(row / dictionary.variance, n)[::-1]
            joint = single[one][:, None] + single[other][None, :] - overlap
            at, then = divmod(int(np.argmax(joint)), n)
            best.append((float(joint[at, then]), one, at, other, then))
        out = []
        for _, one, at, other, then in sorted(best, reverse=True)[:BEAM]:
            first = Discharge((self.start + at) * PHASES, one, 1.0)
            second = Discharge((self.start + then) * PHASES, other, 1.0)
            out.append(self.with_one_more(self.with_one_more(state, first), second))
        return out

    def polished(self, state: Explanation) -> Explanation:
        """Place each discharge anew, given all the others of the explanation."""
        for _ in range(2 if len(state.discharges) > 1 else 0):
            before = state.discharges
            for one in list(state.discharges):
                others = self.rebuilt([d for d in state.discharges if d != one])
                column = one.tick // PHASES - self.start
                a, b = max(column - 4, 1), min(column + 5, state.correlation.shape[1] - 1)
                if b <= a:
                    continue
                vertex = a + int(np.argmax(others.correlation[one.unit, a:b]))
                state = self.with_one_more(others, self.placed(others, one.unit, vertex))
            if state.discharges == before:
                break
        return state

    def rebuilt(self, discharges: Sequence[Discharge]) -> Explanation:
        """Return the explanation made of these discharges."""
        state = self.bare
        for one in discharges:
            state = self.with_one_more(state, one)
        return state


def distinct(states: list[Explanation]) -> list[Explanation]:
    """Sort by worth and drop those that differ only in the order of their discharges."""
    seen, out = set(), []
    for state in sorted(states, key=lambda s: -s.worth):
        key = tuple(sorted((d.unit, d.tick // (2 * PHASES)) for d in state.discharges))
        if key not in seen:
            seen.add(key)
            out.append(state)
    return out


def revise(
    pursuit: Pursuit, half: int, *, first: int = 0, last: int | None = None, thorough: bool = True
) -> int:
    """Explain the neighbourhood of every clear discharge anew; return how many windows changed.

    Parameters
    ----------
    pursuit
        Its discharges are changed in place, those of no amplitude excepted.
    half
        Samples from the middle of a window to its end.
    first, last
        Samples: what lies before ``first`` stays as it is, and so does what begins after ``last``.
    thorough
        Try all pairs of units wherever something is left over.
    """
    changed, done = 0, -1
    end = pursuit.n if last is None else last
    clear = pursuit.dictionary.is_clear
    known = [d.tick // PHASES for d in pursuit.discharges.values() if clear[d.unit]]
    for middle in sorted({*(k for k in known if k >= first), *_leftovers(pursuit, first, half)}):
        if middle <= done or middle >= end + half:
            continue
        done = middle + half // 3
        begin, stop = middle + half // 6 - half, middle + half // 6 + half
        changed += _window_revised(pursuit, max(first, begin), stop, thorough)
    return changed


def _leftovers(pursuit: Pursuit, first: int, apart: int) -> list[int]:
    """Return the samples from ``first`` on where something like a template is left unexplained."""
    dictionary = pursuit.dictionary
    if not dictionary.is_clear.any():
        return []
    share = np.abs(pursuit.correlation[dictionary.is_clear, first:])
    share = (share / dictionary.energy[dictionary.is_clear, None]).max(axis=0)
    share[pursuit.barred[first:] < 0] = 0.0
    top = ndimage.maximum_filter1d(share, 2 * apart + 1, mode="constant")
    return (first + np.flatnonzero((share == top) & (share > UNEXPLAINED))).tolist()


def _window_revised(pursuit: Pursuit, first: int, last: int, thorough: bool) -> bool:
    within = [
        pursuit.discharges[unit, tick]
        for unit, train in enumerate(pursuit.trains)
        for tick in train[bisect_left(train, first * PHASES) : bisect_left(train, last * PHASES)]
    ]
    old = [one for one in within if one.amplitude > 0]
    if len(old) == 1 and _is_plain(pursuit, old[0], first, last):
        return False
    for one in old:
        pursuit.take(one)
    window = Window(pursuit, first, last)
    before = window.rebuilt(sorted(old))
    after = window.explained(thorough=thorough)
    better = after.worth > before.worth + WORTHWHILE
    for one in after.discharges if better else old:
        pursuit.put(one)
    return better


def _is_plain(pursuit: Pursuit, one: Discharge, first: int, last: int) -> bool:
    """Tell whether a lone discharge fits its template and leaves nothing to be explained."""
    dictionary = pursuit.dictionary
    if abs(one.amplitude - 1) > ORDINARY * dictionary.amplitude_sd[one.unit]:
        return False
    left = np.abs(pursuit.correlation[:, first:last]).max(axis=1)
    if np.any(left[dictionary.is_clear] > UNEXPLAINED * dictionary.energy[dictionary.is_clear]):
        return False
    return bool(pursuit.gain(slice(None), first, last).max() < HOPE)

"""Which discharge is which, and which unit is which: one-to-one and optimal.

Discharges are matched by a sweep along the line, which is maximal there; units by the Hungarian
method on their agreement. All of it is symmetric: true and found may change places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgsim.scoring.counts import Counts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MATCHED_JACCARD = 0.3  # below it a pair of trains is no match
HELD_SHARE = 0.2  # of its discharges in another unit, and a unit is said to be held by it in part
OWN_SHARE = 0.5  # of the part's own discharges: below it the part is mostly something else
ROUNDING_S = 1e-9  # beyond the rounding of a clock of days, far below a sample


def match_discharges(
    a: Floats, b: Floats, tolerance_s: float, lag_s: float = 0.0
) -> list[tuple[int, int]]:
    """Return the pairs ``(i, j)`` of a maximal one-to-one matching within the tolerance.

    Both trains ascend; ``b`` is ``lag_s`` late. Two discharges are paired as early as possible,
    which is optimal on a line. A nanosecond is added to the tolerance, so that a difference of just
    the tolerance, 24 samples of 48 kHz, is not decided by rounding.
    """
    reach = tolerance_s + ROUNDING_S
    early, late = a.tolist(), b.tolist()  # plain floats: numpy's would take five times as long
    pairs, i, j = [], 0, 0
    while i < len(early) and j < len(late):
        difference = (late[j] - early[i]) - lag_s
        if abs(difference) <= reach:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif difference > 0:
            i += 1
        else:
            j += 1
    return pairs


def best_lag_s(true_s: Floats, found_s: Floats, tolerance_s: float, max_lag_s: float) -> float:
    """Return the delay of the found train that brings most discharges within the tolerance.

    It is the median of the densest window of twice the tolerance among all differences of up to
    ``max_lag_s``. Of windows that are equally dense the one with most matched discharges counts,
    then the one nearest to no lag; so trains that change places have as many matches.
    """
    reach = max_lag_s + tolerance_s + ROUNDING_S
    first = np.searchsorted(found_s, true_s - reach)
    n_near = np.searchsorted(found_s, true_s + reach, side="right") - first
    differences = np.sort(found_s[_ranges(first, n_near)] - np.repeat(true_s, n_near))
    if differences.size == 0:
        return 0.0
    lags = np.unique(np.clip(_densest_medians(differences, tolerance_s), -max_lag_s, max_lag_s))
    if lags.size == 1:
        return float(lags[0])

    def rank(lag_s: float) -> tuple[int, float, float]:
        return len(match_discharges(true_s, found_s, tolerance_s, lag_s)), -abs(lag_s), lag_s

    return float(max(lags.tolist(), key=rank))


def _densest_medians(differences: Floats, tolerance_s: float) -> Floats:
    """Return the median of every densest window, ends included, of ascending differences."""
    window = 2 * (tolerance_s + ROUNDING_S)
    n = differences.size
    ends = np.searchsorted(differences, differences + window, side="right")
    dense = int(np.max(ends - np.arange(n)))
    # d[b] <= d[a] + w is not d[b] - d[a] <= w in floats; only the latter can change its sign
    while dense < n and np.any(differences[dense:] - differences[:-dense] <= window):
        dense += 1
    while dense > 1 and np.all(differences[dense - 1 :] - differences[: 1 - dense] > window):
        dense -= 1
    starts = np.flatnonzero(differences[dense - 1 :] - differences[: n - dense + 1] <= window)
    middle = differences[starts + (dense - 1) // 2] + differences[starts + dense // 2]
    return np.asarray(middle / 2)


def _ranges(first: Ints, n: Ints) -> Ints:
    """Return ``first[k], first[k] + 1, ...``, ``n[k]`` numbers for each k, one after the other."""
    return np.asarray(np.arange(n.sum()) + np.repeat(first - np.cumsum(n) + n, n))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A true and a found train, by their places, and how they agree."""

    true: int
    found: int
    lag_s: float
    matches: tuple[tuple[int, int], ...]  # places within the trains
    n_true: int
    n_found: int

    @property
    def counts(self) -> Counts:
        """TP, FP and FN of the pair."""
        n = len(self.matches)
        return Counts(tp=n, fp=self.n_found - n, fn=self.n_true - n)

    @cached_property
    def true_matched(self) -> frozenset[int]:
        """Places of the true discharges that were matched."""
        return frozenset(i for i, _ in self.matches)

    @cached_property
    def found_matched(self) -> frozenset[int]:
        """Places of the found discharges that were matched."""
        return frozenset(j for _, j in self.matches)


def related_pairs(
    true_trains: Sequence[Floats],
    found_trains: Sequence[Floats],
    tolerance_s: float,
    max_lag_s: float,
) -> tuple[Pair, ...]:
    """Return every pair of trains that shares `HELD_SHARE` of its longer train, or more.

    Any other is below `MATCHED_JACCARD` and can be neither a match nor a part. Most are ruled out
    by a bound: no delay matches more discharges than its window has differences.
    """
    bound = _bounds(true_trains, found_trains, tolerance_s, max_lag_s)
    out = []
    for i, j in np.argwhere(bound > 0).tolist():
        a, b = true_trains[i], found_trains[j]
        least = HELD_SHARE * max(a.size, b.size)
        if bound[i, j] < least:
            continue
        lag_s = best_lag_s(a, b, tolerance_s, max_lag_s)
        matches = tuple(match_discharges(a, b, tolerance_s, lag_s))
        if len(matches) >= least:
            pair = Pair(
                true=i, found=j, lag_s=lag_s, matches=matches, n_true=a.size, n_found=b.size
            )
            out.append(pair)
    return tuple(out)


def _bounds(
    true_trains: Sequence[Floats],
    found_trains: Sequence[Floats],
    tolerance_s: float,
    max_lag_s: float,
) -> Ints:
    """Return the most differences that any window holds, shape ``(n_true, n_found)``."""
    bound = np.zeros((len(true_trains), len(found_trains)), np.int64)
    times_s = np.concatenate([np.zeros(0), *found_trains])
    owner = np.repeat(np.arange(len(found_trains)), [train.size for train in found_trains])
    order = np.argsort(times_s, kind="stable")
    times_s, owner = times_s[order], owner[order]
    reach = max_lag_s + tolerance_s + ROUNDING_S
    window = 2 * tolerance_s + 4 * ROUNDING_S  # a little more than the matching's: a bound
    apart = 2 * (reach + window)  # puts the differences of each found unit on a stretch of its own
    for row, train in zip(bound, true_trains, strict=True):
        first = np.searchsorted(times_s, train - reach)
        n_near = np.searchsorted(times_s, train + reach, side="right") - first
        near = _ranges(first, n_near)
        laid = np.sort(owner[near] * apart + (times_s[near] - np.repeat(train, n_near)))
        held = np.searchsorted(laid, laid + window, side="right") - np.arange(laid.size)
        np.maximum.at(row, np.rint(laid / apart).astype(np.int64), held)
    return bound


def matched_pairs(pairs: Iterable[Pair], n_true: int, n_found: int) -> dict[int, Pair]:
    """Return the pair of each matched true unit: the matching of largest total Jaccard index.

    Pairs below `MATCHED_JACCARD` take no part, so they cannot push a match aside.
    """
    alike = {(p.true, p.found): p for p in pairs if p.counts.jaccard >= MATCHED_JACCARD}
    agreement = np.zeros((n_true, n_found))
    for at, pair in alike.items():
        agreement[at] = pair.counts.jaccard
    rows, columns = linear_sum_assignment(agreement, maximize=True)
    chosen = zip(rows.tolist(), columns.tolist(), strict=True)
    return {at[0]: alike[at] for at in chosen if at in alike}


def split_units(pairs: Iterable[Pair]) -> dict[int, tuple[int, ...]]:
    """Return the true units whose discharges two or more found units share, and which these are."""
    held: dict[int, dict[int, frozenset[int]]] = {}
    for pair in pairs:
        if _is_part(len(pair.matches), part=pair.n_found, whole=pair.n_true):
            held.setdefault(pair.true, {})[pair.found] = pair.true_matched
    return _composed(held)


def merged_units(pairs: Iterable[Pair]) -> dict[int, tuple[int, ...]]:
    """Return the found units that hold two or more true units, and which these are."""
    held: dict[int, dict[int, frozenset[int]]] = {}
    for pair in pairs:
        if _is_part(len(pair.matches), part=pair.n_true, whole=pair.n_found):
            held.setdefault(pair.found, {})[pair.true] = pair.found_matched
    return _composed(held)


def _is_part(n: int, *, part: int, whole: int) -> bool:
    return n >= HELD_SHARE * whole and n >= OWN_SHARE * part


def _composed(held: Mapping[int, Mapping[int, frozenset[int]]]) -> dict[int, tuple[int, ...]]:
    """Keep the wholes of two or more parts that hold different discharges, not the same twice."""
    out = {}
    for whole, parts in sorted(held.items()):
        chosen: dict[int, frozenset[int]] = {}
        for part, places in sorted(parts.items(), key=lambda item: (-len(item[1]), item[0])):
            if all(
                len(places & other) < OWN_SHARE * min(len(places), len(other))
                for other in chosen.values()
            ):
                chosen[part] = places
        if len(chosen) > 1:
            out[whole] = tuple(sorted(chosen))
    return out

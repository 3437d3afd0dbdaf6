"""The matcher equals brute force and keeps its laws."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emgsim.scoring.counts import Counts
from emgsim.scoring.matching import (
    HELD_SHARE,
    MATCHED_JACCARD,
    OWN_SHARE,
    ROUNDING_S,
    Pair,
    best_lag_s,
    match_discharges,
    matched_pairs,
    merged_units,
    related_pairs,
    split_units,
)
from emgsim.testing import spike_trains

TRAINS = st.lists(st.integers(0, 60), max_size=7, unique=True).map(
    lambda ticks: np.sort(np.array(ticks, float)) * 1e-4
)
SIDES = st.lists(TRAINS, max_size=3)
TOLERANCE_S, MAX_LAG_S = 5e-4, 1e-3


def brute_force(a: np.ndarray, b: np.ndarray, tolerance_s: float, lag_s: float = 0.0) -> int:
    """Return the size of the largest one-to-one matching, by trying every set of pairs."""
    reach = tolerance_s + ROUNDING_S
    close = [
        (i, j)
        for i in range(a.size)
        for j in range(b.size)
        if abs((b[j] - a[i]) - lag_s) <= reach
    ]
    for size in range(min(a.size, b.size), 0, -1):
        for chosen in combinations(close, size):
            if len({i for i, _ in chosen}) == size == len({j for _, j in chosen}):
                return size
    return 0


def plain_lag_s(a: np.ndarray, b: np.ndarray) -> float:
    """Return the lag by its definition: every window tried, no shortcut."""
    differences = sorted(
        y - x for x in a for y in b if abs(y - x) <= MAX_LAG_S + TOLERANCE_S + ROUNDING_S
    )
    window = 2 * (TOLERANCE_S + ROUNDING_S)
    runs = [
        differences[i:j]
        for i in range(len(differences))
        for j in range(i + 1, len(differences) + 1)
        if differences[j - 1] - differences[i] <= window
    ]
    if not runs:
        return 0.0
    dense = max(map(len, runs))
    medians = [float(np.median(run)) for run in runs if len(run) == dense]
    lags = [min(max(lag, -MAX_LAG_S), MAX_LAG_S) for lag in medians]
    ranked = [
        (len(match_discharges(a, b, TOLERANCE_S, lag)), -abs(lag), lag) for lag in sorted(lags)
    ]
    return max(ranked)[2]


def plain_pairs(true: list[np.ndarray], found: list[np.ndarray]) -> tuple[Pair, ...]:
    """Return every pair of trains, none ruled out beforehand."""
    out = []
    for i, a in enumerate(true):
        for j, b in enumerate(found):
            lag_s = best_lag_s(a, b, TOLERANCE_S, MAX_LAG_S)
            matches = tuple(match_discharges(a, b, TOLERANCE_S, lag_s))
            out.append(
                Pair(true=i, found=j, lag_s=lag_s, matches=matches, n_true=a.size, n_found=b.size)
            )
    return tuple(out)


@given(
    st.lists(st.integers(0, 12), max_size=4, unique=True),
    st.lists(st.integers(0, 12), max_size=4, unique=True),
    st.integers(-3, 3),
)
def test_matching_equals_brute_force(a: list[int], b: list[int], lag: int) -> None:
    """The sweep along the line is as good as trying everything, at any lag."""
    one, other = np.sort(np.array(a, float)), np.sort(np.array(b, float))
    pairs = match_discharges(one, other, 2.0, float(lag))
    assert len(pairs) == brute_force(one, other, 2.0, float(lag))
    assert all(abs(other[j] - one[i] - lag) <= 2.0 for i, j in pairs)


@given(TRAINS, TRAINS)
def test_matching_is_symmetric_and_bounded(a: np.ndarray, b: np.ndarray) -> None:
    """Both directions give as many pairs, never more than the shorter train has."""
    n = len(match_discharges(a, b, 5e-4))
    assert n == len(match_discharges(b, a, 5e-4))
    assert n <= min(a.size, b.size)


@given(TRAINS)
def test_identical_trains_match_wholly(a: np.ndarray) -> None:
    """A train agrees with itself, discharge by discharge."""
    assert match_discharges(a, a, 5e-4) == [(i, i) for i in range(a.size)]


@given(TRAINS, TRAINS, st.integers(-8, 8))
def test_matching_does_not_depend_on_the_clock(a: np.ndarray, b: np.ndarray, late: int) -> None:
    """Shifting both trains by whole seconds changes nothing, at the tolerance's very edge too."""
    n = len(match_discharges(a, b, 5e-4))
    assert n == len(match_discharges(a + late, b + late, 5e-4))


def test_a_difference_of_just_the_tolerance_agrees_at_any_time() -> None:
    """24 samples of 48 kHz are half a millisecond, whatever rounding makes of them."""
    first = np.arange(0, 3600, 7) * 48_000 + 5.0
    one, other = first / 48_000, (first + 24) / 48_000
    assert len(match_discharges(one, other, 5e-4)) == first.size


def test_a_part_spread_over_the_whole_window_is_not_ruled_out() -> None:
    """22 of 100 discharges are shared, with errors all over +-0.5 ms: the bound must hold them."""
    true = np.arange(1.0, 101.0)
    found = true + 0.4
    found[:22] = true[:22] + np.linspace(-5e-4, 5e-4, 22)
    (pair,) = related_pairs([true], [found], TOLERANCE_S, MAX_LAG_S)
    assert (len(pair.matches), pair.lag_s) == (22, pytest.approx(0.0, abs=1e-9))


@given(TRAINS, TRAINS)
@example(np.array([0.0, 0.0015]), np.array([0.0005, 0.001]))
def test_the_lag_is_that_of_its_definition(a: np.ndarray, b: np.ndarray) -> None:
    """The sorted search finds the window that trying every one finds."""
    assert abs(best_lag_s(a, b, TOLERANCE_S, MAX_LAG_S) - plain_lag_s(a, b)) < 1e-12


@given(TRAINS, TRAINS)
def test_trains_that_change_places_match_as_often(a: np.ndarray, b: np.ndarray) -> None:
    """The estimated lag favours no side."""
    there = best_lag_s(a, b, TOLERANCE_S, MAX_LAG_S)
    back = best_lag_s(b, a, TOLERANCE_S, MAX_LAG_S)
    n = len(match_discharges(a, b, TOLERANCE_S, there))
    assert n == len(match_discharges(b, a, TOLERANCE_S, back))


@given(spike_trains(), st.integers(-60, 60))
def test_a_shifted_train_has_its_shift_as_lag(train: np.ndarray, late: int) -> None:
    """Whatever the train: the same one some tenths of a millisecond later has that lag."""
    lag_s = best_lag_s(train, train + late * 1e-4, 5e-4, 6e-3)
    if train.size:
        assert abs(lag_s - late * 1e-4) < 1e-9


@given(SIDES, SIDES)
def test_no_pair_that_matters_is_ruled_out(true: list[np.ndarray], found: list[np.ndarray]) -> None:
    """The bound drops only pairs that share too little to be a match or a part."""
    kept = {(p.true, p.found): p for p in related_pairs(true, found, TOLERANCE_S, MAX_LAG_S)}
    for pair in plain_pairs(true, found):
        share = len(pair.matches) / max(pair.n_true, pair.n_found, 1)
        assert ((pair.true, pair.found) in kept) == (share > 0 and share >= HELD_SHARE)
        if (pair.true, pair.found) in kept:
            assert kept[pair.true, pair.found] == pair


@given(SIDES, SIDES)
def test_units_are_matched_as_well_as_by_trying_all(
    true: list[np.ndarray], found: list[np.ndarray]
) -> None:
    """The total agreement is the largest that any one-to-one matching of units has."""
    jaccard = np.zeros((max(len(true), len(found)),) * 2)
    for pair in plain_pairs(true, found):
        if pair.counts.jaccard >= MATCHED_JACCARD:
            jaccard[pair.true, pair.found] = pair.counts.jaccard
    places = range(len(jaccard))
    best = max(sum(jaccard[i, j] for i, j in zip(places, p, strict=True))
               for p in permutations(places))  # fmt: skip
    related = related_pairs(true, found, TOLERANCE_S, MAX_LAG_S)
    matched = matched_pairs(related, len(true), len(found))
    assert abs(sum(pair.counts.jaccard for pair in matched.values()) - best) < 1e-12
    assert len({pair.found for pair in matched.values()}) == len(matched)


@given(SIDES, SIDES)
def test_split_and_merged_are_mirror_images(
    true: list[np.ndarray], found: list[np.ndarray]
) -> None:
    """What is split in one direction is merged in the other, up to which matches are chosen."""
    pairs = related_pairs(true, found, TOLERANCE_S, 0.0)
    mirrored = [
        Pair(
            true=p.found,
            found=p.true,
            lag_s=-p.lag_s,
            matches=tuple((j, i) for i, j in p.matches),
            n_true=p.n_found,
            n_found=p.n_true,
        )
        for p in pairs
    ]
    assert split_units(pairs) == merged_units(mirrored)
    assert merged_units(pairs) == split_units(mirrored)


@given(SIDES, SIDES)
def test_parts_are_parts(true: list[np.ndarray], found: list[np.ndarray]) -> None:
    """Each part holds a fifth of the whole and belongs to it by half, and none holds it twice."""
    pairs = related_pairs(true, found, TOLERANCE_S, MAX_LAG_S)
    by_place = {(p.true, p.found): p for p in pairs}
    for whole, parts in split_units(pairs).items():
        assert len(parts) >= 2
        for part in parts:
            pair = by_place[whole, part]
            assert pair.counts.sensitivity >= HELD_SHARE
            assert pair.counts.precision >= OWN_SHARE
        for one, other in combinations(parts, 2):
            a, b = (by_place[whole, part].true_matched for part in (one, other))
            assert len(a & b) < OWN_SHARE * min(len(a), len(b))


def test_counts_add_up_and_share() -> None:
    """Three found of four, one invented: by pencil."""
    counts = Counts(tp=2, fn=1) + Counts(tp=1, fp=1)
    assert counts == Counts(tp=3, fp=1, fn=1)
    assert (counts.sensitivity, counts.precision, counts.f1) == (0.75, 0.75, 0.75)
    assert counts.jaccard == 0.6
    assert np.isnan(Counts().f1)

"""Strata sort every discharge once, by properties that a pencil can check."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from emgsim.recording import Findings, Truth
from emgsim.scoring import Counts, compare, pooled_strata, strata
from emgsim.scoring.strata import EDGES, collision_lags_s, similarities
from emgsim.testing import findings, spike_trains, truths


def by(table, name: str) -> list[Counts]:
    """Return the counts of one property's strata, in order."""
    return [stratum.counts for stratum in table if stratum.by == name]


@given(findings(max_units=3), truths(max_units=3))
def test_every_discharge_lies_in_one_stratum_of_each_property(
    found: Findings, truth: Truth
) -> None:
    """The strata of a property add up to the pooled counts."""
    score = compare(found, truth)
    table = strata(score, truth)
    if score.units:
        for name in EDGES:
            assert sum(by(table, name), Counts()) == score.pooled
    assert all(str(stratum) for stratum in table)


def test_discharges_are_sorted_by_their_collision(findings_of, truth_of) -> None:
    """Apart 0.5 ms, 2 ms and far: one missed of the first, one invented at each of the others."""
    one = np.array([0.1, 0.2, 0.3, 0.4])
    two = np.array([0.1005, 0.202, 0.5])
    found_one = np.sort(np.append(one[1:], 0.4015))
    found_two = np.sort(np.append(two, 0.2045))
    score = compare(findings_of(found_one + 0.001, found_two + 0.001), truth_of(one, two))
    assert by(strata(score, truth_of(one, two)), "collision_lag_ms") == [
        Counts(tp=1, fn=1),
        Counts(tp=2, fp=1),
        Counts(tp=3, fp=1),
    ]


@given(spike_trains(max_discharges=20), spike_trains(max_discharges=20))
def test_collision_lags_equal_brute_force(one: np.ndarray, two: np.ndarray) -> None:
    """The nearest discharge of the other unit, by looking at every one."""
    lags_s = collision_lags_s({1: one, 2: two})
    for own, other, lag_s in ((one, two, lags_s[1]), (two, one, lags_s[2])):
        plain = [min([abs(t - o) for o in other], default=math.inf) for t in own]
        assert lag_s.tolist() == plain


def test_units_are_sorted_by_their_size(findings_of, truth_of, regular) -> None:
    """40 uV, 300 uV and 2 mV lie in the first, the third and the last stratum."""
    trains = [regular(8.0, k) for k in (1, 2, 3)]
    truth = truth_of(*trains, sizes_uv=(40.0, 300.0, 2000.0))
    table = by(strata(compare(findings_of(), truth), truth), "amplitude_uv")
    assert [c.fn for c in table] == [trains[0].size, 0, trains[1].size, 0, trains[2].size]


def test_similarity_ignores_size_and_delay(truth_of) -> None:
    """The same wave larger and later is alike by 1; turned over it is not."""
    truth = truth_of(np.zeros(1), np.zeros(1), sizes_uv=(100.0, 700.0))
    one, other = truth.units
    late = np.concatenate([np.zeros((5, 1)), other.muap_uv])
    object.__setattr__(other, "muap_uv", late)
    assert similarities([one, other]) == pytest.approx({1: 1.0, 2: 1.0})
    object.__setattr__(other, "muap_uv", np.array([[1.0], [1.0]]))
    plain = np.convolve(one.muap_uv[:, 0], [1.0, 1.0]).max()
    expected = plain / np.linalg.norm(one.muap_uv) / math.sqrt(2)
    assert similarities([one, other])[1] == pytest.approx(expected)


def test_similarity_does_not_wrap_around(truth_of) -> None:
    """Two peaks five samples apart are not two neighbours, as on a ring of six they would be."""
    one, other = truth_of(np.zeros(1), np.zeros(1)).units
    object.__setattr__(one, "muap_uv", np.array([[1.0], [0], [0], [0], [0], [1.0]]))
    object.__setattr__(other, "muap_uv", np.array([[1.0], [1.0], [0], [0], [0], [0]]))
    assert similarities([one, other])[1] == pytest.approx(0.5)


def test_a_unit_alone_is_similar_to_none(truth_of) -> None:
    """It lies in the lowest stratum, with no other to be taken for."""
    truth = truth_of(np.arange(1.0, 3.0))
    assert similarities(truth.units) == {1: -math.inf}


def test_strata_of_recordings_add_up(findings_of, truth_of, regular) -> None:
    """Two of the same recording have twice the counts."""
    train = regular(8.0, 1)
    truth = truth_of(train)
    table = strata(compare(findings_of(train[2:] + 0.001), truth), truth)
    twice = pooled_strata([table, table])
    assert [s.counts for s in twice] == [s.counts + s.counts for s in table]
    assert [(s.by, s.low, s.high) for s in twice] == [(s.by, s.low, s.high) for s in table]

"""Recruitment on counted trains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.analysis.recruitment import (
    recruitment_onset,
    recruitment_order,
    recruitment_ratio,
    whole_trains,
)

Floats = NDArray[np.float64]


def train(rate_hz: float, seed: int, seconds: float = 8.0) -> Floats:
    """Discharge times of a neuron of its own, whose intervals scatter by 15 %."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(1, 0.15, round(seconds * rate_hz)).clip(0.5, 1.5) / rate_hz)


def test_units_are_ordered_by_their_start() -> None:
    """The third train starts first; one without three discharges on end starts never."""
    trains = [np.arange(2.0, 4, 0.1), np.array([0.1, 0.9, 3.0]), np.arange(1.0, 4, 0.125)]
    starts = recruitment_order(trains)
    assert [start.unit for start in starts] == [2, 0]
    assert [start.at_s for start in starts] == [1.0, 2.0]
    assert [start.interval_s for start in starts] == pytest.approx([0.125, 0.1])


@given(shift_s=st.floats(-5, 5), order=st.permutations([0, 1, 2]))
def test_order_does_not_depend_on_clock_or_numbering(shift_s: float, order: list[int]) -> None:
    """A later clock or other numbers for the units change no one's place."""
    trains = [np.arange(at, 5.0, 0.1) + shift_s for at in (1.0, 2.0, 3.0)]
    found = recruitment_order([trains[k] for k in order])
    assert [order[start.unit] for start in found] == [0, 1, 2]


def test_the_recruitment_interval_is_that_of_the_first_unit() -> None:
    """Unit 2 starts at 1.05 s; the first fires every 100 ms then, and faster later."""
    first = np.concatenate([np.arange(0.2, 1.1, 0.1), np.arange(1.1, 2.0, 0.06)])
    stray = np.array([0.3, 0.7])  # two discharges far apart are no train
    second = np.concatenate([stray, np.arange(1.05, 2.0, 0.12)])
    found = recruitment_onset([second, first])
    assert found is not None
    assert (found.first_unit, found.second_unit) == (1, 0)
    assert found.frequency_hz == pytest.approx(10.0)


@pytest.mark.parametrize(
    "trains",
    [
        [],
        [np.arange(0, 2, 0.1)],
        [np.arange(0, 2, 0.1), np.arange(0.15, 2, 0.1)],
        [np.arange(0, 1, 0.1), np.arange(1.5, 2, 0.1)],
    ],
    ids=["none", "one", "together", "first silent"],
)
def test_what_was_not_seen_has_no_recruitment_frequency(trains: list[Floats]) -> None:
    """Too few units, units that fire from the beginning, a first unit that fell silent: None."""
    assert recruitment_onset(trains) is None


def test_four_units_of_which_the_fastest_fires_at_twenty_have_a_ratio_of_five() -> None:
    """Rates of 5, 10, 15 and 20 per second, and one unit that is silent then."""
    trains = [train(rate_hz, seed) for seed, rate_hz in enumerate((5, 10, 15, 20))]
    found = recruitment_ratio([*trains, train(10, 9) + 10], 1.0, 6.0)
    assert found is not None
    assert found.active_units == 4
    assert found.ratio_hz == pytest.approx(5.0, rel=0.1)
    assert recruitment_ratio([np.array([1.0, 2.0])], 0.0, 3.0) is None


def test_a_stretch_must_have_a_length() -> None:
    """A stretch that ends where it begins is refused."""
    with pytest.raises(ValueError, match="stop_s"):
        recruitment_ratio([np.arange(5.0)], 1.0, 1.0)


# -- split units -----------------------------------------------------------------------------------


def test_two_halves_of_one_unit_are_one_train() -> None:
    """Every other discharge was found by another template: their union is the unit's train."""
    unit, other = train(10, 1), train(11, 2)
    found = whole_trains([unit[::2], other, unit[1::2]])
    assert len(found) == 2
    assert any(np.array_equal(one, unit) for one in found)


def test_a_train_told_from_a_part_of_a_potential_is_no_unit() -> None:
    """Half of its discharges come 5 ms after another unit's, give or take a millisecond."""
    rng = np.random.default_rng(3)
    unit, strays = train(8, 1), rng.uniform(0, 8, 16)
    follower = np.sort(
        np.concatenate([unit[::2] + rng.uniform(4e-3, 6e-3, unit[::2].size), strays])
    )
    assert [one.size for one in whole_trains([unit, follower])] == [unit.size]


def test_a_unit_of_three_discharges_is_no_follower() -> None:
    """Two of three discharges near another unit's are chance."""
    unit = train(8, 1)
    begins = np.array([unit[10] + 0.004, unit[11] + 0.005, unit[12] + 0.06])
    assert len(whole_trains([unit, begins])) == 2


def test_a_split_unit_does_not_make_recruitment_early() -> None:
    """Two units at 12 a second have a ratio of 6, also where one of them is told in two trains."""
    one, other = train(12, 1), train(12, 2)
    plain = recruitment_ratio([one, other], 0.0, 7.0)
    split = recruitment_ratio([one[::2], other, one[1::2]], 0.0, 7.0)
    assert plain is not None
    assert plain == split
    assert plain.ratio_hz == pytest.approx(6.0, rel=0.1)


@given(seed=st.integers(0, 10_000), rates_hz=st.lists(st.floats(6, 14), min_size=2, max_size=6))
def test_neurons_of_their_own_are_left_as_they_are(seed: int, rates_hz: list[float]) -> None:
    """Independent trains meet as often as chance lets them, and none is put to another."""
    trains = [train(rate_hz, seed + k) for k, rate_hz in enumerate(rates_hz)]
    found = whole_trains(trains)
    assert len(found) == len(trains)
    assert all(any(np.array_equal(one, other) for other in trains) for one in found)

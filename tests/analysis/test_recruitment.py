"""Recruitment on counted trains."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emgsim.analysis.recruitment import recruitment_onset, recruitment_order, recruitment_ratio

Floats = NDArray[np.float64]


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
    trains = [np.arange(0, 3, 1 / rate) for rate in (5, 10, 15, 20)]
    found = recruitment_ratio([*trains, np.arange(4, 6, 0.1)], 1.0, 3.0)
    assert found is not None
    assert found.active_units == 4
    assert found.ratio_hz == pytest.approx(5.0)
    assert recruitment_ratio([np.array([1.0, 2.0])], 0.0, 3.0) is None


def test_a_stretch_must_have_a_length() -> None:
    """A stretch that ends where it begins is refused."""
    with pytest.raises(ValueError, match="stop_s"):
        recruitment_ratio([np.arange(5.0)], 1.0, 1.0)

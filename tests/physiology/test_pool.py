"""Recruitment, rates, force and discharges: Fuglevand's numbers, and laws for any pool."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emgsim.physiology.parameters import Pool
from emgsim.physiology.pool import (
    ISI_FLOOR_S,
    ISI_TRUNCATION_SD,
    discharge_times,
    excitation_for,
    maximal_excitation,
    rates_hz,
    steady_force,
    thresholds,
    twitches,
)
from emgsim.testing import pools

FUGLEVAND = Pool(n_units=120, recruitment_range=30.0, twitch_range=100.0)
PROPERTY = settings(max_examples=50, deadline=None)


def trains(pool: Pool, level: float, seconds: float, *, seed: int = 1, start_s: float = 0.0):
    """Return the discharges of a pool at a steady excitation."""
    times_s = start_s + np.arange(round(seconds * 1000)) * 1e-3
    rng = np.random.default_rng(seed)
    return discharge_times(pool, times_s, np.full(times_s.size, level), rng)


@pytest.mark.parametrize(("share", "percent"), [(0.1, 31.7), (0.2, 52.5), (0.5, 79.2)])
def test_most_units_are_recruited_low(share: float, percent: float) -> None:
    """A29: units with thresholds up to 10/20/50 % of the last; RR 30, n 120; 38, 63, 95 units."""
    level = thresholds(FUGLEVAND)
    assert 100 * np.mean(level <= share * level[-1]) == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize(("force", "units"), [(0.1, 79), (0.3, 104), (0.5, 115)])
def test_units_are_active_at_a_force_as_fuglevand_found(force: float, units: int) -> None:
    """A30: 79/104/115 +- 2 units at 10/30/50 % force; MFR 8, PFR 35-10, gain 1."""
    excitation = excitation_for(FUGLEVAND, np.array([force]))
    assert np.sum(thresholds(FUGLEVAND) <= excitation) == pytest.approx(units, abs=2)


def test_the_last_unit_is_recruited_at_63_percent_of_force() -> None:
    """A30: 62.6 +- 2 % of maximal force."""
    last = thresholds(FUGLEVAND)[-1:]
    assert 100 * steady_force(FUGLEVAND, last)[0] == pytest.approx(62.6, abs=2.0)


def test_twitches_last_from_89_to_30_ms() -> None:
    """A31: contraction times of the first and the last unit, 89.2 and 30.0 ms."""
    force, time_s = twitches(FUGLEVAND)
    assert 1e3 * time_s[[0, -1]] == pytest.approx([89.2, 30.0], abs=0.05)
    assert force[[0, -1]] == pytest.approx([100 ** (1 / 120), 100.0])


@pytest.mark.parametrize("cov", [0.10, 0.15, 0.25])
def test_intervals_scatter_by_the_set_value(cov: float) -> None:
    """A32: coefficient of variation of a steady train +- 10 %, n 500; at 10 Hz no floor is met."""
    pool = Pool(n_units=1, recruitment_range=30.0, isi_cov=cov)
    intervals = np.diff(trains(pool, 32.0, 60.0)[0])  # 8 + (32 - 30) = 10 Hz
    assert intervals.size > 500
    assert intervals.mean() == pytest.approx(0.1, rel=0.03)
    assert intervals.std() / intervals.mean() == pytest.approx(cov, rel=0.10)


def test_biceps_fires_at_31_per_second_in_maximal_effort() -> None:
    """A33: mean rate 31.1 +- 5 pps at MVC, Bellemare 1983."""
    top = np.array([maximal_excitation(FUGLEVAND)])
    assert rates_hz(FUGLEVAND, top).mean() == pytest.approx(31.1, abs=5.0)


def test_a_unit_starts_at_its_minimal_rate_and_stops_at_its_peak() -> None:
    """One unit by pencil: threshold 30, MFR 8, peak 25, gain 1."""
    pool = Pool(n_units=1, recruitment_range=30.0)
    levels = np.array([0.0, 29.9, 30.1, 35.0, 47.0, 90.0])
    assert rates_hz(pool, levels)[0] == pytest.approx([0, 0, 8.1, 13, 25, 25])
    assert maximal_excitation(pool) == 47.0


def test_a_twitch_train_pulls_with_its_integral() -> None:
    """One unit by pencil: below T f = 0.4 force is linear in the rate, above the gain sets in."""
    pool = Pool(n_units=1, recruitment_range=30.0, twitch_range=100.0)  # T = 30 ms
    x = np.array([0.030 * 10.0, 0.030 * 25.0])  # rates at excitations 32 and 47
    gain = (1 - np.exp(-2 * x[1] ** 3)) / x[1] / ((1 - np.exp(-2 * 0.4**3)) / 0.4)
    force = steady_force(pool, np.array([32.0, 47.0]))
    assert force == pytest.approx([x[0] / (x[1] * gain), 1.0])


@given(pool=pools())
@PROPERTY
def test_thresholds_rise_to_the_recruitment_range(pool: Pool) -> None:
    """The size principle: each unit later than the one before, the last at RR."""
    level = thresholds(pool)
    assert np.all(np.diff(level) > 0)
    assert level[-1] == pytest.approx(pool.recruitment_range)
    assert level[0] > 1


@given(pool=pools())
@PROPERTY
def test_force_and_rates_never_fall_with_excitation(pool: Pool) -> None:
    """More drive is never less force, and no rate leaves its bounds."""
    levels = np.linspace(0, maximal_excitation(pool), 200)
    rates = rates_hz(pool, levels)
    assert np.all(np.diff(rates, axis=1) >= 0)
    assert np.all(np.diff(steady_force(pool, levels)) >= -1e-12)
    assert np.all((rates == 0) | (rates >= pool.minimal_rate_hz - 1e-9))
    assert steady_force(pool, levels[-1:])[0] == pytest.approx(1.0)


@given(pool=pools(), effort=st.floats(0.0, 1.0))
@PROPERTY
def test_excitation_makes_the_force_asked_for(pool: Pool, effort: float) -> None:
    """Just below and just above the excitation found, force brackets the effort."""
    found = excitation_for(pool, np.array([effort]))[0]
    step = maximal_excitation(pool) / 4000
    low, high = steady_force(pool, np.array([max(0.0, found - step), found + step]))
    assert low - 1e-9 <= effort <= high + 1e-9


def test_no_effort_is_no_excitation() -> None:
    """At rest not even the first unit is half recruited."""
    assert excitation_for(FUGLEVAND, np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("effort", [-0.1, 1.2])
def test_an_effort_beyond_the_maximum_is_refused(effort: float) -> None:
    """The message names the thing, its range and the value."""
    with pytest.raises(ValueError, match=rf"effort must be in 0\.\.1 .*, got .*{effort:g}"):
        excitation_for(FUGLEVAND, np.array([effort]))


@given(pool=pools(), share=st.floats(0.0, 1.0), seed=st.integers(0, 2**32 - 1))
@PROPERTY
def test_the_interval_law_holds_for_any_pool(pool: Pool, share: float, seed: int) -> None:
    """Ascending, inside the time, no interval under 20 ms or farther than 3 SD from the mean."""
    level = share * maximal_excitation(pool)
    rates = rates_hz(pool, np.array([level]))[:, 0]
    for rate, train in zip(rates, trains(pool, level, 3.0, seed=seed), strict=True):
        if rate == 0:
            assert train.size == 0
            continue
        assert train.size >= 1
        assert 0 <= train[0] <= 1 / rate
        assert train[-1] < 3.0
        intervals = np.diff(train)
        spread = ISI_TRUNCATION_SD * pool.isi_cov
        assert np.all(intervals >= max(ISI_FLOOR_S, (1 - spread) / rate) - 1e-9)
        assert np.all(intervals <= max(ISI_FLOOR_S, (1 + spread) / rate) + 1e-9)


def test_discharges_stop_with_the_effort_and_begin_again_with_it() -> None:
    """Two holds with a rest between: nothing falls into the rest, both holds have discharges."""
    pool = Pool(n_units=4, recruitment_range=10.0)
    times_s = np.arange(3000) * 1e-3
    level = np.where((times_s < 1.0) | (times_s >= 2.0), maximal_excitation(pool), 0.0)
    for train in discharge_times(pool, times_s, level, np.random.default_rng(3)):
        assert not np.any((train >= 1.0) & (train < 2.0))
        assert np.sum(train < 1.0) > 10
        assert np.sum(train >= 2.0) > 10


def test_no_two_units_draw_the_same_chance() -> None:
    """Units of one rate fire out of step."""
    pool = Pool(n_units=5, recruitment_range=1.5)
    fired = trains(pool, maximal_excitation(pool), 2.0)
    assert len({round(float(train[0]), 9) for train in fired}) == 5


def test_one_more_unit_does_not_move_the_first_ones() -> None:
    """Each unit draws from a stream of its own: only rates tie it to the size of the pool."""
    few = Pool(n_units=5, recruitment_range=30.0**0.5)
    many = Pool(n_units=10, recruitment_range=30.0, peak_rate_drop_hz=0.0)
    few = few.model_copy(update={"peak_rate_drop_hz": 0.0})
    np.testing.assert_allclose(thresholds(few), thresholds(many)[:5])
    for a, b in zip(trains(few, 5.9, 2.0), trains(many, 5.9, 2.0), strict=False):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_what_comes_later_does_not_change_what_was_before() -> None:
    """Twice the time gives the same first half for every unit, however often the others fire."""
    pool = Pool(n_units=6, recruitment_range=10.0)
    short, long = (trains(pool, 8.0, seconds) for seconds in (2.0, 4.0))
    for a, b in zip(short, long, strict=True):
        np.testing.assert_array_equal(b[b < 2.0], a)


@given(start_s=st.floats(0.0, 1000.0))
@settings(max_examples=20, deadline=None)
def test_discharges_move_with_the_clock(start_s: float) -> None:
    """The same drive later gives the same discharges later."""
    here = trains(FUGLEVAND, 5.0, 1.0)
    there = trains(FUGLEVAND, 5.0, 1.0, start_s=start_s)
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b - start_s, a, atol=1e-9)
